import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { daemonContext, silentLog } from '../async/context.ts';
import {
  AuthResponseSchema,
  AuthType,
  ContainerPathSchema,
  ImageExportStreamSchema,
  ImageStoreSchema,
  OCIRegistrySchema,
  WriteStreamSchema,
} from '../gen/containerd/types/transfer/transfer_pb.ts';
import type { Digest } from '../oci/digest.ts';
import { mediaTypes } from '../oci/media-types.ts';
import type { NamedStream } from '../rpc/named-stream.ts';
import { authStreamCredentials } from './transfer-auth.ts';
import { namesOf, parseEnd, platformsOf, unpacksOf } from './transfer-ends.ts';
import { toWireProgress } from './transfer-progress.ts';

const any = <D extends DescMessage>(schema: D, message: MessageInitShape<D>, prefix = '') => ({
  typeUrl: `${prefix}${schema.typeName}`,
  value: toBinary(schema, create(schema, message)),
});
const store = (message: MessageInitShape<typeof ImageStoreSchema>) => create(ImageStoreSchema, message);
const digest = `sha256:${'a'.repeat(64)}` as Digest;

test('ends of a transfer are known by type, with or without a host in the URL, and named as containerd names them', () => {
  const registry = parseEnd(any(OCIRegistrySchema, { reference: 'a/b:1' }, 'type.googleapis.com/'), 'source');
  assert.deepEqual([registry.kind, registry.label], ['registry', 'OCI Registry (a/b:1)']);
  const images = parseEnd(any(ImageStoreSchema, { name: 'a/b:1' }), 'destination');
  assert.deepEqual([images.kind, images.label], ['image store', 'Local Image Store (a/b:1)']);
  const archive = parseEnd(any(ImageExportStreamSchema, { stream: 'x' }), 'destination');
  assert.deepEqual([archive.kind, archive.label], ['export stream', 'Export Stream']);
  const bytes = parseEnd(any(WriteStreamSchema, { stream: 'x' }), 'destination');
  assert.deepEqual([bytes.kind, bytes.label], ['write stream', 'Write Stream']);
  const path = parseEnd(any(ContainerPathSchema, { containerId: 'c', path: '/p' }), 'source');
  assert.deepEqual([path.kind, path.label], ['container path', 'Container Path (c:/p)']);
  const other = parseEnd(any(AuthResponseSchema, {}), 'destination');
  assert.deepEqual(other, { kind: 'other', label: 'containerd.types.transfer.AuthResponse' });
});

test('an absent end is of no type, and one that cannot be decoded is invalid', () => {
  assert.throws(() => parseEnd(undefined, 'source'), {
    kind: 'unknown',
    message: 'type with url : not found',
  });
  const broken = { typeUrl: OCIRegistrySchema.typeName, value: Uint8Array.of(0x0a, 0xff) };
  assert.throws(() => parseEnd(broken, 'source'), { kind: 'invalid_argument' });
});

test('extra references become names; a prefix without a digest names nothing', () => {
  const extraReferences = [
    { name: 'a/c:1' },
    { name: 'a/d', isPrefix: true },
    { name: 'a/e', isPrefix: true, addDigest: true },
  ];
  assert.deepEqual(namesOf(store({ name: 'a/b:1', extraReferences })), ['a/b:1', 'a/c:1', 'a/e@{digest}']);
  assert.deepEqual(namesOf(store({})), []);
});

test('no platforms means all of them, unless an unpack leaves the choice to the daemon', () => {
  const own = { os: 'linux', architecture: 'amd64' };
  assert.equal(platformsOf(store({})), 'all');
  assert.equal(platformsOf(store({ unpacks: [{ snapshotter: 'x' }] })), undefined);
  const arm = { os: 'linux', architecture: 'aarch64', variant: 'v8' };
  assert.deepEqual(platformsOf(store({ platforms: [arm] })), [{ os: 'linux', architecture: 'arm64' }]);
  assert.deepEqual(unpacksOf(store({ unpacks: [{ snapshotter: 'x' }, { platform: arm }] }), own), [
    { snapshotter: 'x', platform: own },
    { snapshotter: '', platform: { os: 'linux', architecture: 'arm64' } },
  ]);
});

test("progress is told in containerd's words, as a tree under the image's name", () => {
  const layer = { mediaType: mediaTypes.ociLayerGzip, digest, size: 9 };
  const parent = { mediaType: mediaTypes.ociManifest, digest, size: 5 };
  const name = `layer-${digest}`;
  const [update] = toWireProgress(
    { phase: 'downloading', name, descriptor: layer, parent, offset: 3, total: 9 },
    { from: 'R', to: 'S' },
    'root',
  );
  assert.deepEqual(update, {
    event: 'downloading',
    name,
    parents: [`manifest-${digest}`],
    progress: 3n,
    total: 9n,
    desc: { mediaType: layer.mediaType, digest, size: 9n, annotations: {} },
  });
  const phases = [
    'resolving',
    'resolved',
    'saved',
    'done',
    'exists',
    'pushing',
    'pushed',
    'warning',
  ] as const;
  const events = phases.map((phase) =>
    toWireProgress({ phase, name: 'root', offset: 0, total: 0 }, { from: 'R', to: 'S' }, 'root').map(
      ({ event }) => event,
    ),
  );
  assert.deepEqual(events, [
    ['Resolving from R'],
    ['Pulling from R', 'fetching image content'],
    ['saved'],
    ['Completed pull from R'],
    ['already exists'],
    ['Pushing to S', 'pushing content'],
    ['pushed content', 'Completed push to S'],
    ['warning: root'],
  ]);
});

/** An auth stream whose client answers with these, in order. */
function stream(...answers: MessageInitShape<typeof AuthResponseSchema>[]): NamedStream {
  const queue = answers.map((answer) => any(AuthResponseSchema, answer));
  return { send: async () => {}, receive: async () => queue.shift() } as unknown as NamedStream;
}
const request = { host: 'h', reference: 'h/a:1', challenges: ['Basic realm="x"'] };
const ctx = daemonContext(silentLog);

test('answers of the auth stream become credentials, and an answer without a secret none', async () => {
  const source = authStreamCredentials(
    stream(
      { authType: AuthType.CREDENTIALS, username: 'u', secret: 'p' },
      { authType: AuthType.REFRESH, secret: 't' },
      { authType: AuthType.HEADER, secret: 'Bearer x' },
      { authType: AuthType.REFRESH },
      { authType: AuthType.NONE },
      { authType: AuthType.CREDENTIALS },
    ),
  );
  const answers = await Promise.all([1, 2, 3, 4, 5, 6].map(() => source(ctx, request)));
  assert.deepEqual(answers, [
    { kind: 'basic', username: 'u', password: 'p' },
    { kind: 'refresh', token: 't' },
    { kind: 'header', value: 'Bearer x' },
    undefined,
    undefined,
    undefined,
  ]);
});

test('a client that hangs up, or answers with something else, fails the login', async () => {
  await assert.rejects(authStreamCredentials(stream())(ctx, request), { kind: 'unauthenticated' });
  const odd = {
    send: async () => {},
    receive: async () => any(ImageStoreSchema, {}),
  } as unknown as NamedStream;
  await assert.rejects(authStreamCredentials(odd)(ctx, request), { kind: 'invalid_argument' });
  const header = stream({ authType: AuthType.HEADER, secret: 'a\r\nb: c' });
  await assert.rejects(authStreamCredentials(header)(ctx, request), { kind: 'invalid_argument' });
});

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Connection } from '../../src/client/connection.ts';
import { Content } from '../../src/gen/containerd/services/content/v1/content_pb.ts';
import { Images } from '../../src/gen/containerd/services/images/v1/images_pb.ts';
import { Transfer } from '../../src/gen/containerd/services/transfer/v1/transfer_pb.ts';
import {
  ContainerPathSchema,
  HTTPDebug,
  ImageExportStreamSchema,
  ImageImportStreamSchema,
  ImageStoreSchema,
  OCIRegistrySchema,
  WriteStreamSchema,
} from '../../src/gen/containerd/types/transfer/transfer_pb.ts';
import { mediaTypes } from '../../src/oci/media-types.ts';
import { TestContainerd } from '../kit/containerd.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { FlakyRegistry } from '../kit/flaky-registry.ts';
import { file, tar } from '../kit/tar-builder.ts';

// The same odd requests to Berth and to containerd 2.3: the same code, the same words.

interface End {
  readonly typeUrl: string;
  readonly value: Uint8Array<ArrayBuffer>;
}
const end = <D extends DescMessage>(schema: D, init: MessageInitShape<D>): End => ({
  typeUrl: schema.typeName,
  value: toBinary(schema, create(schema, init)),
});
const registryOf = (reference: string, more: object = {}) =>
  end(OCIRegistrySchema, { reference, ...more } as MessageInitShape<typeof OCIRegistrySchema>);
const store = (init: MessageInitShape<typeof ImageStoreSchema>) => end(ImageStoreSchema, init);
const importOf = (stream: string) => end(ImageImportStreamSchema, { stream });
const exportTo = (stream: string) => end(ImageExportStreamSchema, { stream });

let berthd: TestDaemon;
let containerd: TestContainerd;
let registry: FlakyRegistry;
let connections: Connection[] = [];
before(async () => {
  registry = await FlakyRegistry.start();
  registry.addImage('a', '1', [tar(file('f', 'x'))]);
  berthd = await startDaemon();
  containerd = await new TestContainerd('2.3').start();
  connections = [berthd.address, containerd.address].map(
    (address) => new Connection({ address, namespace: 'default', timeoutMs: 20_000 }),
  );
});
after(async () => {
  for (const connection of connections) connection[Symbol.dispose]();
  await containerd?.[Symbol.asyncDispose]();
  await berthd?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
});

/** `code: words` of both daemons, '' for success. */
async function answers(request: object): Promise<(string | undefined)[]> {
  return Promise.all(
    connections.map((connection) =>
      connection
        .service(Transfer)
        .transfer(request, connection.unary())
        .then(
          () => '',
          (error: { cause?: { code?: number; details?: string } }) =>
            `${error.cause?.code}: ${error.cause?.details}`.replaceAll(registry.host, 'HOST'),
        ),
    ),
  );
}

const good = () => registryOf(`${registry.host}/a:1`);
const requests: Readonly<Record<string, () => object>> = {
  'nothing at all': () => ({}),
  'no source': () => ({ destination: store({ name: 'x' }) }),
  'no destination': () => ({ source: good() }),
  'a type nobody knows': () => ({
    source: { typeUrl: 'no.such.Type', value: new Uint8Array() },
    destination: store({ name: 'x' }),
  }),
  'an empty type': () => ({
    source: { typeUrl: '', value: new Uint8Array() },
    destination: store({ name: 'x' }),
  }),
  'bytes that are no message': () => ({
    source: { typeUrl: OCIRegistrySchema.typeName, value: Uint8Array.of(0x0a, 0xff) },
    destination: store({ name: 'x' }),
  }),
  'an empty reference': () => ({ source: registryOf(''), destination: store({ name: 'x' }) }),
  'a reference that is none': () => ({ source: registryOf('::::'), destination: store({ name: 'x' }) }),
  'a repository that is not there': () => ({
    source: registryOf(`${registry.host}/none:1`),
    destination: store({ name: 'x' }),
  }),
  'a store without a name': () => ({ source: good(), destination: store({}) }),
  'a store with nothing but a prefix': () => ({
    source: good(),
    destination: store({ extraReferences: [{ name: 'p', isPrefix: true }] }),
  }),
  'a platform that the image has not': () => ({
    source: good(),
    destination: store({ name: 'x', platforms: [{ os: 'plan9', architecture: 'vax' }] }),
  }),
  'an auth stream that was never opened': () => ({
    source: registryOf(`${registry.host}/a:1`, { resolver: { authStream: 'none' } }),
    destination: store({ name: 'x' }),
  }),
  'a log stream that was never opened': () => ({
    source: registryOf(`${registry.host}/a:1`, {
      resolver: { logsStream: 'none', httpDebug: HTTPDebug.DEBUG },
    }),
    destination: store({ name: 'x' }),
  }),
  'a progress stream that was never opened': () => ({
    source: good(),
    destination: store({ name: 'x' }),
    options: { progressStream: 'none' },
  }),
  'a push of an image that is not here': () => ({
    source: store({ name: 'none' }),
    destination: registryOf(`${registry.host}/b:1`),
  }),
  'a push without a name': () => ({ source: store({}), destination: registryOf(`${registry.host}/b:1`) }),
  'a tag of an image that is not here': () => ({
    source: store({ name: 'none' }),
    destination: store({ name: 'x' }),
  }),
  'a tag without a source': () => ({ source: store({}), destination: store({ name: 'x' }) }),
  'an import of a stream that was never opened': () => ({
    source: importOf('none'),
    destination: store({ name: 'x' }),
  }),
  'an import of an unnamed stream': () => ({ source: importOf(''), destination: store({ name: 'x' }) }),
  'an export to a stream that was never opened': () => ({
    source: store({ name: 'none' }),
    destination: exportTo('none'),
  }),
  'an import into a registry': () => ({ source: importOf('none'), destination: good() }),
  'a registry to a stream': () => ({ source: good(), destination: exportTo('none') }),
  'a stream as a source that is none': () => ({
    source: exportTo('none'),
    destination: store({ name: 'x' }),
  }),
  'an image store to an import stream': () => ({
    source: store({ name: 'x' }),
    destination: importOf('none'),
  }),
  'a write stream as a source': () => ({
    source: end(WriteStreamSchema, { stream: 'none' }),
    destination: store({ name: 'x' }),
  }),
};
/** Where Berth says more, or another kind: containerd answers UNKNOWN or less for faults of the caller, or lies. */
const explained: Readonly<Record<string, string>> = {
  'bytes that are no message': '3: transfer source: premature EOF: invalid argument',
  'an empty reference': '3: reference "" has no registry host: invalid argument',
  'a reference that is none': '3: reference "::::" has no registry host: invalid argument',
  // containerd records an image of which nothing is here.
  'a platform that the image has not':
    '5: x: no match for platform in manifest: wanted plan9/vax, available: linux/amd64: not found',
  'an auth stream that was never opened': '5: stream "none": not found',
  'a log stream that was never opened': '5: stream "none": not found',
  'a progress stream that was never opened': '5: stream "none": not found',
  'an import of a stream that was never opened': '5: stream "none": not found',
  'an import of an unnamed stream': '5: stream "": not found',
  'an export to a stream that was never opened': '5: stream "none": not found',
  'an import into a registry': '5: stream "none": not found',
  'a registry to a stream': '5: stream "none": not found',
  'a stream as a source that is none': '5: stream "none": not found',
  'an image store to an import stream': '5: stream "none": not found',
  'a write stream as a source': `12: method Transfer not implemented for ${WriteStreamSchema.typeName} to ${ImageStoreSchema.typeName}: not implemented`,
};

for (const [name, request] of Object.entries(requests))
  test(`Transfer: ${name}`, async () => {
    const [ours, theirs] = await answers(request());
    assert.equal(ours, explained[name] ?? theirs);
    if (ours !== theirs && !/^2?:|^$/.test(theirs ?? ''))
      assert.equal(ours?.split(':')[0], theirs?.split(':')[0]);
  });

test('Transfer: pairs that containerd leaves out, and ends that it does not know', async () => {
  const path = (containerId: string) => end(ContainerPathSchema, { containerId, path: '/' });
  const [copied] = await answers({ source: good(), destination: registryOf(`${registry.host}/copied:1`) });
  assert.equal(copied, '');
  const [missing] = await answers({ source: path('none'), destination: path('none') });
  assert.match(missing ?? '', /^5: container "none" .*not found$/);
  const [odd] = await answers({ source: path('none'), destination: store({ name: 'x' }) });
  assert.equal(
    odd,
    `12: method Transfer not implemented for ${ContainerPathSchema.typeName} to ${ImageStoreSchema.typeName}: not implemented`,
  );
});

test('Transfer: a list of platforms and unpacks, all metadata, and a limit of manifests', async () => {
  const manifests = ['amd64', 'arm64', 's390x'].map((architecture) => ({
    ...registry.addImage('many', architecture, [tar(file('f', architecture))], { config: { architecture } }),
    platform: { os: 'linux', architecture },
  }));
  registry.addManifest(
    'many',
    'all',
    { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests },
    mediaTypes.ociIndex,
  );
  const here = async (options: MessageInitShape<typeof ImageStoreSchema>) => {
    const shown: string[] = [];
    for (const connection of connections) {
      const source = registryOf(`${registry.host}/many:all`);
      await connection
        .service(Transfer)
        .transfer({ source, destination: store({ name: 'many', ...options }) }, connection.unary());
      const content = connection.service(Content);
      const present: string[] = [];
      for (const { digest, platform } of manifests) {
        const size = await content.info({ digest }, connection.unary()).then(
          () => 'manifest',
          () => 'nothing',
        );
        present.push(`${platform.architecture} ${size}`);
      }
      shown.push(present.join(', '));
      await connection.service(Images).delete({ name: 'many', sync: true }, connection.unary());
    }
    assert.equal(shown[0], shown[1]);
    return shown[0];
  };
  const linux = (architecture: string) => ({ os: 'linux', architecture });
  assert.equal(await here({}), 'amd64 manifest, arm64 manifest, s390x manifest');
  assert.equal(await here({ manifestLimit: 2 }), 'amd64 manifest, arm64 manifest, s390x nothing');
  assert.equal(
    await here({ platforms: [linux('arm64'), linux('s390x')] }),
    'amd64 nothing, arm64 manifest, s390x manifest',
  );
  assert.equal(
    await here({ platforms: [linux('s390x')], manifestLimit: 1 }),
    'amd64 nothing, arm64 nothing, s390x manifest',
  );
  assert.equal(
    await here({ platforms: [linux('amd64')], allMetadata: true }),
    'amd64 manifest, arm64 manifest, s390x manifest',
  );
  const unpacks = [{ platform: linux('amd64'), snapshotter: 'overlayfs' }];
  assert.equal(
    await here({ platforms: [linux('amd64')], unpacks }),
    'amd64 manifest, arm64 nothing, s390x nothing',
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { kindOf } from '../errors/error.ts';
import {
  GetContainerResponseSchema,
  ListContainersResponseSchema,
  type Container as Wire,
} from '../gen/containerd/services/containers/v1/containers_pb.ts';
import type { Any } from '../oci/any.ts';
import type { Container, NewContainer } from './container-store.ts';
import { wireOf } from './container-wire.ts';
import { MetadataSubject } from './subject.suite.ts';

const odd = { typeUrl: 'x.y/Odd', value: new Uint8Array([0, 255, 128, 10, 0]) };
const long = { typeUrl: 'x.y/Spec', value: new Uint8Array(6000).map((_, at) => at) };
const plain: NewContainer = {
  id: 'plain',
  labels: {},
  image: '',
  runtime: { name: 'r' },
  snapshotter: '',
  snapshotKey: '',
  extensions: {},
  sandboxId: '',
};
const containers: readonly NewContainer[] = [
  plain,
  { ...plain, id: 'empty-spec', spec: { typeUrl: '', value: new Uint8Array() } },
  { ...plain, id: 'typed', spec: { typeUrl: 'only/Type', value: new Uint8Array() } },
  { ...plain, id: 'untyped', spec: { typeUrl: '', value: odd.value } },
  {
    id: 'whole',
    labels: { 'k.x': 'wärme', ['__proto__']: 'p' },
    image: 'docker.io/library/x:latest',
    runtime: { name: 'io.containerd.runc.v2', options: odd },
    spec: long,
    snapshotter: 'overlayfs',
    snapshotKey: 'key',
    extensions: { a: odd, 'b.c': { typeUrl: 'x.y/Empty', value: new Uint8Array() } },
    sandboxId: 'sandbox',
  },
];

const any = ({ typeUrl, value }: Any): Any => ({ typeUrl, value: new Uint8Array(value) });

/** A wire container as what was stored. */
const read = (wire: Wire): Container => ({
  id: wire.id,
  labels: Object.fromEntries(Object.entries(wire.labels)),
  image: wire.image,
  runtime: {
    name: wire.runtime?.name ?? '',
    ...(wire.runtime?.options && { options: any(wire.runtime.options) }),
  },
  ...(wire.spec && { spec: any(wire.spec) }),
  snapshotter: wire.snapshotter,
  snapshotKey: wire.snapshotKey,
  createdAt: timestampDate(wire.createdAt ?? assert.fail('no time')),
  updatedAt: timestampDate(wire.updatedAt ?? assert.fail('no time')),
  extensions: Object.fromEntries(Object.entries(wire.extensions).map(([key, value]) => [key, any(value)])),
  sandboxId: wire.sandbox,
});

/** Without what is undefined and with plain bytes, for comparing. */
const bare = ({ spec, runtime: { name, options }, ...rest }: Container): Container => ({
  ...rest,
  runtime: { name, ...(options && { options: any(options) }) },
  ...(spec && { spec: any(spec) }),
});

const one = (bytes: Uint8Array): Container => {
  const { container } = fromBinary(GetContainerResponseSchema, Buffer.from(bytes));
  return read(container ?? assert.fail('no container'));
};
const all = (pages: readonly (readonly Uint8Array[])[]): Container[] =>
  fromBinary(ListContainersResponseSchema, Buffer.concat(pages.flat())).containers.map(read);

test('a container says the same on the wire as in its fields', () => {
  const [createdAt, updatedAt] = [new Date(1_700_000_000_123), new Date(1_800_000_000_456)];
  for (const container of containers) {
    const stored = { ...container, createdAt, updatedAt };
    assert.deepEqual(one(wireOf(stored)), stored, container.id);
  }
});

test('what is stored encoded is what is stored, after each update and in rows that an older Berth wrote', async () => {
  await using subject = await MetadataSubject.open();
  const ctx = subject.context();
  /** All of them from the wire, once they are known to be what the fields say. */
  const same = async (): Promise<Container[]> => {
    const { containers: store } = subject.metadata;
    const wired = all(await Array.fromAsync(store.walkEncoded(ctx)));
    assert.deepEqual(wired, (await store.list(ctx)).map(bare));
    assert.deepEqual(all(await Array.fromAsync(store.walkEncoded(ctx, ['id~=^.']))), wired);
    for (const container of wired)
      assert.deepEqual(one(await store.getEncoded(ctx, container.id)), container);
    return wired;
  };
  for (const container of containers) await subject.metadata.containers.create(ctx, container);
  assert.equal((await same()).length, containers.length);
  const change = { id: 'whole', labels: { new: '1' }, spec: odd, image: 'other' };
  await subject.metadata.containers.update(ctx, change, ['labels', 'spec', 'image', 'extensions.a']);
  const whole = (await same()).at(-1);
  assert.deepEqual([whole?.labels, whole?.spec, whole?.image], [{ new: '1' }, odd, 'other']);

  // An update that is refused beside one that is not, a container that is made again, and memory given back.
  const store = subject.metadata.containers;
  const both = [
    store.update(ctx, { id: 'whole', labels: { refused: '1' }, image: 'refused' }, [
      'labels',
      'image',
      'runtime',
    ]),
    store.update(ctx, { id: 'whole', labels: { kept: '1' } }, ['labels']),
  ];
  const [refused, kept] = await Promise.allSettled(both);
  assert.deepEqual([refused?.status, kept?.status], ['rejected', 'fulfilled']);
  assert.deepEqual((await same()).at(-1)?.labels, { kept: '1' });
  await store.delete(ctx, 'whole');
  assert.equal((await same()).length, containers.length - 1);
  await assert.rejects(store.getEncoded(ctx, 'whole'), (error) => kindOf(error) === 'not_found');
  const first = containers.find(({ id }) => id === 'whole') ?? assert.fail();
  await store.create(ctx, { ...first, image: 'again' });
  assert.equal((await same()).at(-1)?.image, 'again');
  store.releaseMemory();

  const before = await same();
  await subject.metadata.db.write((tx) => tx.run('UPDATE containers SET wire_head = NULL'));
  await subject.restart();
  assert.deepEqual(await same(), before);
});

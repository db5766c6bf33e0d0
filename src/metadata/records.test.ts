import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { type ErrorKind, kindOf, messageOf } from '../errors/error.ts';
import { ListContainersResponseSchema } from '../gen/containerd/services/containers/v1/containers_pb.ts';
import { parseDigest } from '../oci/digest.ts';
import type { Container, NewContainer } from './container-store.ts';
import type { Image } from './image-store.ts';
import { MetadataSubject } from './subject.suite.ts';

const digestOf = (letter: string) => parseDigest(`sha256:${letter.repeat(64)}`);
const image = (name: string, letter = 'a'): Pick<Image, 'name' | 'labels' | 'target'> => ({
  name,
  labels: {},
  target: { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: digestOf(letter), size: 10 },
});
const container = (id: string, change: Partial<NewContainer> = {}): NewContainer => ({
  id,
  labels: {},
  image: 'docker.io/library/x:latest',
  runtime: { name: 'io.containerd.runc.v2' },
  spec: {
    typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Spec',
    value: Buffer.from('{"a": 1 }'),
  },
  snapshotter: '',
  snapshotKey: '',
  extensions: {},
  sandboxId: '',
  ...change,
});

const rejects = (promise: Promise<unknown>, kind: ErrorKind, words?: RegExp): Promise<void> =>
  assert.rejects(promise, (error) => {
    assert.equal(kindOf(error), kind, String(error));
    if (words) assert.match(messageOf(error), words);
    return true;
  });

test('an image is created once, updated by field, listed by filter and deleted by target', async () => {
  await using subject = await MetadataSubject.open();
  const { images } = subject.metadata;
  const ctx = subject.context();
  await images.create(ctx, image('b'));
  await images.create(ctx, { ...image('a', 'c'), labels: { x: '1', 'y.z': '2', empty: '' } });
  await rejects(images.create(ctx, image('a')), 'already_exists', /image "a": already exists/);
  assert.deepEqual(
    (await images.list(ctx)).map(({ name }) => name),
    ['a', 'b'],
  );
  assert.deepEqual(
    (await images.list(ctx, [`target.digest==${digestOf('a')}`])).map(({ name }) => name),
    ['b'],
  );
  assert.deepEqual(
    (await images.list(ctx, ['labels."y.z"==2'])).map(({ name }) => name),
    ['a'],
  );
  const updated = await images.update(ctx, { ...image('a', 'd'), labels: { x: '', n: '9' } }, [
    'labels.x',
    'labels.n',
  ]);
  assert.deepEqual(updated.labels, { 'y.z': '2', n: '9' });
  assert.equal(updated.target.digest, digestOf('c'));
  assert.deepEqual(await images.get(ctx, 'a'), updated);
  assert.equal((await images.update(ctx, image('a', 'd'), ['target'])).target.digest, digestOf('d'));
  assert.deepEqual((await images.update(ctx, image('a', 'e'))).labels, {});
  await rejects(
    images.update(ctx, image('a'), ['name']),
    'invalid_argument',
    /cannot update "name" field on image "a"/,
  );
  await rejects(images.update(ctx, image('zz')), 'not_found');
  await rejects(images.delete(ctx, 'a', { target: image('a', 'f').target }), 'not_found', /has target/);
  await images.delete(ctx, 'a', { target: image('a', 'e').target });
  await rejects(images.get(ctx, 'a'), 'not_found', /^image "a": not found$/);
  assert.deepEqual(
    subject.events.topics(),
    ['create', 'create', 'update', 'update', 'update', 'delete'].map((verb) => `/images/${verb}`),
  );
});

test('images that are not whole are refused', async () => {
  await using subject = await MetadataSubject.open();
  const { images } = subject.metadata;
  const ctx = subject.context();
  const { target } = image('x');
  const long = { k: 'x'.repeat(4096) };
  const bad: [Pick<Image, 'name' | 'labels' | 'target'>, RegExp][] = [
    [{ ...image('x'), name: '' }, /image name must not be empty/],
    [{ ...image('x'), target: { ...target, size: 0 } }, /target.Size must be greater than zero/],
    [{ ...image('x'), target: { ...target, mediaType: '' } }, /target.MediaType must be set/],
    [{ ...image('x'), target: { ...target, digest: 'sha256:1' as typeof target.digest } }, /invalid digest/],
    [
      { ...image('x'), labels: long },
      /label key and value length \(4097 bytes\) greater than maximum size \(4096 bytes\), key: k/,
    ],
  ];
  for (const [candidate, words] of bad)
    await rejects(images.create(ctx, candidate), 'invalid_argument', words);
  await images.create(ctx, { ...image('x'), labels: { k: 'x'.repeat(4095), ['__proto__']: 'kept' } });
  assert.equal(Object.entries((await images.get(ctx, 'x')).labels).length, 2);
});

test('a container keeps every byte of its Anys, and what is immutable stays', async () => {
  await using subject = await MetadataSubject.open();
  const { containers } = subject.metadata;
  const ctx = subject.context();
  const odd = { typeUrl: 'x.y/Z', value: new Uint8Array([0, 255, 128, 10]) };
  const empty = { typeUrl: 'x.y/Empty', value: new Uint8Array() };
  const wanted = container('c1', {
    spec: odd,
    runtime: { name: 'io.containerd.runc.v2', options: empty },
    extensions: { a: odd, 'b.c': empty },
    labels: { 'k.x': 'v' },
  });
  const created = await containers.create(ctx, wanted);
  await subject.restart();
  const store = subject.metadata.containers;
  const read = await store.get(ctx, 'c1');
  assert.deepEqual([...(read.spec?.value ?? [])], [0, 255, 128, 10]);
  assert.deepEqual(read.runtime.options?.typeUrl, 'x.y/Empty');
  assert.equal(read.runtime.options?.value.length, 0);
  assert.deepEqual([...(read.extensions.a?.value ?? [])], [0, 255, 128, 10]);
  assert.deepEqual(read.createdAt, created.createdAt);
  await rejects(store.create(ctx, wanted), 'already_exists');
  await rejects(
    store.update(ctx, { ...wanted, runtime: { name: 'other' } }),
    'invalid_argument',
    /Runtime.Name field is immutable/,
  );
  await rejects(
    store.update(ctx, { ...wanted, snapshotter: 'native' }),
    'invalid_argument',
    /Snapshotter field is immutable/,
  );
  const updated = await store.update(ctx, { id: 'c1', labels: { new: '1' }, extensions: {} }, [
    'labels.new',
    'extensions.a',
  ]);
  assert.deepEqual(updated.labels, { 'k.x': 'v', new: '1' });
  assert.deepEqual(Object.keys(updated.extensions), ['b.c']);
  assert.deepEqual(
    (await store.list(ctx, ['labels."k.x"==v', 'id==nobody'])).map(({ id }) => id),
    ['c1'],
  );
  assert.deepEqual(await store.list(ctx, ['runtime.name==none']), []);
  await store.delete(ctx, 'c1');
  await rejects(store.delete(ctx, 'c1'), 'not_found');
  await rejects(store.get(ctx, 'c1'), 'not_found', /container "c1" in namespace "testing"/);
});

test('containers that could not run are refused', async () => {
  await using subject = await MetadataSubject.open();
  const { containers } = subject.metadata;
  const ctx = subject.context();
  const bad: [NewContainer, RegExp][] = [
    [container(''), /container.ID: identifier must not be empty/],
    [container('a/b'), /must match/],
    [container('../x'), /must match/],
    [container('x'.repeat(77)), /greater than maximum length \(76 characters\)/],
    [container('a-'), /must match/],
    [container('a', { runtime: { name: '' } }), /Runtime.Name must be set/],
    [container('a', { snapshotKey: 'k' }), /Snapshotter must be set/],
  ];
  for (const [candidate, words] of bad)
    await rejects(containers.create(ctx, candidate), 'invalid_argument', words);
  await containers.create(ctx, container(`a.b_c-${'x'.repeat(70)}`));
});

test('containers are walked a page at a time, each that stays exactly once', async () => {
  await using subject = await MetadataSubject.open();
  const { containers } = subject.metadata;
  const ctx = subject.context();
  const decoded = (page: Uint8Array[]) =>
    fromBinary(ListContainersResponseSchema, Buffer.concat(page)).containers;
  const idsOf = (list: readonly Pick<Container, 'id'>[]) => list.map(({ id }) => id);
  const ids = Array.from({ length: 200 }, (_, n) => `c${1000 + n}`);
  await Promise.all(ids.map((id) => containers.create(ctx, container(id))));
  assert.deepEqual(idsOf((await Array.fromAsync(containers.walkEncoded(ctx))).flatMap(decoded)), ids);
  assert.deepEqual(
    idsOf((await Array.fromAsync(containers.walkEncoded(ctx, ['id~=5$']))).flatMap(decoded)),
    ids.filter((id) => /5$/.test(id)),
  );
  assert.deepEqual(idsOf(await containers.list(ctx)), ids);

  const seen: string[] = [];
  for await (const page of containers.walkEncoded(ctx)) {
    if (seen.push(...idsOf(decoded(page))) === page.length)
      await Promise.all(ids.slice(100, 150).map((gone) => containers.delete(ctx, gone)));
  }
  assert.deepEqual(seen, [...ids.slice(0, 100), ...ids.slice(150)]);
  await rejects(Array.fromAsync(containers.walkEncoded(ctx, ['a=b'])), 'invalid_argument');
});

test('a namespace comes to be by use and goes only when it is empty', async () => {
  await using subject = await MetadataSubject.open();
  const { namespaces, images, leases } = subject.metadata;
  const ctx = subject.context('used');
  assert.deepEqual(await namespaces.labels(ctx, 'never'), {});
  await images.create(ctx, image('x'));
  await subject.snapshots.prepare(ctx, 'k', '');
  await leases.create(ctx, { id: 'l' });
  assert.deepEqual(
    (await namespaces.list(ctx)).map(({ name }) => name),
    ['used'],
  );
  await rejects(
    namespaces.delete(ctx, 'used'),
    'failed_precondition',
    /^namespace "used" must be empty, but it still has images, snapshots on "overlayfs" snapshotter/,
  );
  await images.delete(ctx, 'x');
  await subject.snapshots.remove(ctx, 'k');
  await namespaces.delete(ctx, 'used');
  assert.deepEqual(await leases.list(ctx), []);
  await rejects(namespaces.delete(ctx, 'used'), 'not_found');
  await namespaces.create(ctx, { name: 'made', labels: { a: '1' } });
  await rejects(namespaces.create(ctx, { name: 'made', labels: {} }), 'already_exists');
  await rejects(namespaces.create(ctx, { name: 'a b', labels: {} }), 'invalid_argument');
  const updated = await namespaces.update(ctx, { name: 'made', labels: { b: '2', a: '' } }, [
    'labels.b',
    'labels.a',
  ]);
  assert.deepEqual(updated.labels, { b: '2' });
  const isThere = async () => (await namespaces.list(ctx)).some(({ name }) => name === 'none');
  // As containerd 2.3.4 does: no label, no namespace.
  await namespaces.update(ctx, { name: 'none', labels: {} });
  assert.equal(await isThere(), false);
  await namespaces.update(ctx, { name: 'none', labels: { a: '1' } });
  assert.equal(await isThere(), true);
  await namespaces.delete(ctx, 'none');
  await rejects(images.list(subject.context('-bad')), 'invalid_argument');
});

test('a lease holds named resources, and only existing leases hold anything', async () => {
  await using subject = await MetadataSubject.open();
  const { leases, content } = subject.metadata;
  const ctx = subject.context();
  assert.match((await leases.create(ctx, {})).id, /^\d+-/);
  await leases.create(ctx, { id: 'l', labels: { a: '1' } });
  await rejects(leases.create(ctx, { id: 'l' }), 'already_exists', /lease "l": already exists/);
  assert.deepEqual(
    (await leases.list(ctx, ['labels.a==1'])).map(({ id }) => id),
    ['l'],
  );
  const resource = { id: digestOf('a'), type: 'content' };
  await leases.addResource(ctx, 'l', resource);
  await leases.addResource(ctx, 'l', resource);
  await leases.addResource(ctx, 'l', { id: 'k', type: 'snapshots/overlayfs' });
  assert.deepEqual(await leases.listResources(ctx, 'l'), [
    resource,
    { id: 'k', type: 'snapshots/overlayfs' },
  ]);
  await leases.deleteResource(ctx, 'l', resource);
  await leases.deleteResource(ctx, 'l', resource);
  assert.equal((await leases.listResources(ctx, 'l')).length, 1);
  await rejects(leases.addResource(ctx, 'l', { id: 'x', type: 'content' }), 'invalid_argument');
  await rejects(leases.addResource(ctx, 'l', { id: 'x', type: 'snapshots' }), 'invalid_argument');
  await rejects(leases.addResource(ctx, 'l', { id: 'x', type: 'sandboxes' }), 'not_implemented');
  await rejects(leases.addResource(ctx, 'none', resource), 'not_found', /lease "none": not found/);
  await rejects(
    content.writer(subject.context('testing', 'none'), { ref: 'r' }),
    'not_found',
    /lease does not exist: not found/,
  );
  await rejects(content.status(ctx, 'r'), 'not_found');
  await using writer = await content.writer(subject.context('testing', 'l'), { ref: 'r' });
  await writer.write(Buffer.from('x'));
  assert.equal((await leases.listResources(ctx, 'l'))[0]?.type, 'ingests');
  await writer.commit();
  assert.deepEqual(
    (await leases.listResources(ctx, 'l')).map(({ type }) => type),
    ['content', 'snapshots/overlayfs'],
  );
});

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { mediaTypes } from '../../src/oci/media-types.ts';
import { copy } from '../../src/transfer/copy.ts';
import { push } from '../../src/transfer/push.ts';
import { digestOf, FlakyRegistry, tarOf } from '../kit/flaky-registry.ts';
import { inventory, openStack, pullQuietly, type Stack } from './stack.ts';

const amd64 = { os: 'linux', architecture: 'amd64' };
let registry: FlakyRegistry;
let stack: Stack;
let reference: string;
/** An index of an image, a blob for any machine, one for amd64 and one for s390x. */
let index: Descriptor;
let blobs: readonly Descriptor[];

before(async () => {
  registry = await FlakyRegistry.start();
  stack = await openStack();
  reference = `${registry.host}/kept:1`;
  const image = registry.addImage('kept', 'base', [tarOf({ a: 'a' })]);
  const part = (text: string, mediaType: string) => registry.addBlob(Buffer.from(text), mediaType);
  blobs = [
    part('a specification', mediaTypes.checkpointSpec),
    { ...part('processes', mediaTypes.criuImages), platform: amd64 },
    { ...part('of another machine', 'application/x-odd'), platform: { os: 'linux', architecture: 's390x' } },
  ];
  index = addIndex('1', [image, ...blobs]);
});
after(async () => {
  await stack[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

const addIndex = (tag: string, manifests: readonly Descriptor[]) =>
  registry.addManifest(
    'kept',
    tag,
    { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests },
    mediaTypes.ociIndex,
  );

async function last<T>(steps: AsyncGenerator<unknown, T, void>): Promise<T> {
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return value as T;
  }
}

async function forget(): Promise<void> {
  for (const { name } of await stack.metadata.images.list(stack.ctx))
    await stack.metadata.images.delete(stack.ctx, name);
  await stack.metadata.gc.collectNow();
  assert.deepEqual((await inventory(stack)).blobs, []);
}

test('a pull brings the blobs that an index lists for its platform, and the image holds them', async () => {
  const unpack = [{ snapshotter: '', platform: amd64 }];
  await pullQuietly(stack.parts, stack.ctx, { reference, unpack, platforms: [amd64] });
  await stack.metadata.gc.collectNow();
  const { blobs: here } = await inventory(stack);
  assert.deepEqual(
    blobs.map(({ digest }) => here.includes(digest)),
    [true, true, false],
  );
  // The third one is a hole, and an image alone would not be what was asked for.
  await using to = await FlakyRegistry.start();
  const there = { image: reference, reference: `${to.host}/there:1` };
  await assert.rejects(last(push(stack.parts, stack.ctx, there)), {
    kind: 'failed_precondition',
    message: /content of linux\/s390x is neither here nor at the destination; pull all/,
  });
  assert.equal(to.manifests.size, 0);
  await forget();
});

test('a push and a copy of an index bring its blobs along, before the index', async () => {
  await pullQuietly(stack.parts, stack.ctx, { reference, platforms: 'all' });
  await using to = await FlakyRegistry.start();
  const pushed = await last(
    push(stack.parts, stack.ctx, { image: reference, reference: `${to.host}/there:1` }),
  );
  assert.equal(pushed.digest, index.digest);
  assert.deepEqual(to.blobs, registry.blobs);
  const puts = to.paths().filter((path) => path.startsWith('PUT'));
  assert.ok(puts.at(-1)?.endsWith('/there/manifests/1'));
  assert.deepEqual(puts.filter((path) => path.includes('/manifests/')).length, 2);
  await using further = await FlakyRegistry.start();
  const copied = await last(
    copy(stack.parts, stack.ctx, { from: { reference }, to: { reference: `${further.host}/there:1` } }),
  );
  assert.equal(copied.digest, index.digest);
  assert.deepEqual(further.blobs, registry.blobs);
  await forget();
});

test('an index of nothing but blobs is pulled, pushed and kept, but not to be unpacked', async () => {
  const { digest } = addIndex('alone', blobs);
  const from = { reference: `${registry.host}/kept:alone` };
  const unpack = [{ snapshotter: '', platform: amd64 }];
  await assert.rejects(pullQuietly(stack.parts, stack.ctx, { ...from, unpack }), {
    kind: 'not_found',
    message: /it lists no image manifest/,
  });
  await pullQuietly(stack.parts, stack.ctx, { ...from, platforms: 'all' });
  await stack.metadata.gc.collectNow();
  assert.equal((await inventory(stack)).blobs.length, blobs.length + 1);
  await using to = await FlakyRegistry.start();
  const there = { image: from.reference, reference: `${to.host}/there:1` };
  assert.equal((await last(push(stack.parts, stack.ctx, there))).digest, digest);
  assert.equal(to.blobs.size, blobs.length);
  await forget();
});

test('a blob that an index lists and nobody has fails the pull and the copy, without a record or a tag', async () => {
  const [image, ...rest] = [registry.addImage('kept', 'base', [tarOf({ a: 'a' })]), ...blobs];
  const lost = { mediaType: mediaTypes.criuImages, digest: digestOf(Buffer.from('lost')), size: 4 };
  addIndex('lost', [image, ...rest, lost]);
  const from = { reference: `${registry.host}/kept:lost` };
  await assert.rejects(pullQuietly(stack.parts, stack.ctx, from), { kind: 'not_found' });
  const { images, leases, ingests } = await inventory(stack);
  assert.deepEqual({ images, leases, ingests }, { images: [], leases: 0, ingests: [] });
  await using to = await FlakyRegistry.start();
  const copying = copy(stack.parts, stack.ctx, { from, to: { reference: `${to.host}/there:1` } });
  await assert.rejects(last(copying), { kind: 'not_found' });
  assert.equal([...to.manifests.keys()].filter((key) => key.endsWith('/1')).length, 0);
  await stack.metadata.gc.collectNow();
});

test('security.md §1.7: an index of 10,000 odd blobs is refused before one of them is asked for', async () => {
  const image = registry.addImage('kept', 'base', [tarOf({ a: 'a' })]);
  const odd = Array.from({ length: 9_999 }, (_, i) => ({
    mediaType: 'application/x-odd',
    digest: digestOf(Buffer.from(`odd ${i}`)),
    size: 1 << 30,
  }));
  addIndex('many', [image, ...odd]);
  registry.seen.length = 0;
  const from = { reference: `${registry.host}/kept:many` };
  await assert.rejects(pullQuietly(stack.parts, stack.ctx, from), {
    kind: 'resource_exhausted',
    message: /more than 1000 documents/,
  });
  await using to = await FlakyRegistry.start();
  const copying = copy(stack.parts, stack.ctx, { from, to: { reference: `${to.host}/there:1` } });
  await assert.rejects(last(copying), { kind: 'resource_exhausted', message: /more than 1000 documents/ });
  assert.deepEqual(
    registry.paths().filter((path) => path.includes('/blobs/')),
    [],
  );
  assert.deepEqual((await inventory(stack)).images, []);
});

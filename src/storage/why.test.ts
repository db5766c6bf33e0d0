import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { isKind } from '../errors/error.ts';
import { MetadataSubject } from '../metadata/subject.suite.ts';
import type { Digest } from '../oci/digest.ts';
import { Holdings } from './holdings.ts';
import { why } from './why.ts';

const gc = (name: string) => `containerd.io/gc.${name}`;

async function put(
  subject: MetadataSubject,
  bytes: number,
  labels: Record<string, string> = {},
): Promise<Digest> {
  await using writer = await subject.metadata.content.writer(subject.context(), {
    ref: randomBytes(8).toString('hex'),
  });
  await writer.write(randomBytes(bytes));
  return await writer.commit({ labels });
}

/** Two images that share a layer, and a snapshot that only a condition holds. */
async function filled() {
  const subject = await MetadataSubject.open();
  const ctx = subject.context();
  const shared = await put(subject, 1000);
  const own = await put(subject, 300);
  const garbage = await put(subject, 50);
  const one = await put(subject, 10, { [gc('ref.content.l.0')]: shared });
  const two = await put(subject, 20, { [gc('ref.content.l.0')]: shared, [gc('ref.content.l.1')]: own });
  await subject.snapshots.prepare(ctx, 'k', '', { [gc('bref.image')]: 'two' });
  for (const [name, digest, size] of [
    ['one', one, 10],
    ['two', two, 20],
  ] as const)
    await subject.metadata.images.create(ctx, { name, labels: {}, target: { mediaType: 'm', digest, size } });
  const holdings = await Holdings.read(subject.metadata, ctx);
  const ask = (target: string) => why(subject.metadata.db, holdings, 'testing', target);
  return { subject, holdings, ask, shared, own, garbage, one, two };
}

test('bytes are counted once for each holder, and as unique only where nobody else holds them', async () => {
  const { subject, holdings } = await filled();
  await using _ = subject;
  const [one, two] = ['one', 'two'].map((name) => `image/testing/${name}`) as never[];
  assert.ok(one && two);
  assert.deepEqual([holdings.bytesOf(one), holdings.uniqueBytesOf(one)], [1010, 10]);
  // The memory driver says 1 byte for each active snapshot.
  assert.deepEqual([holdings.bytesOf(two), holdings.uniqueBytesOf(two)], [1321, 321]);
  assert.equal(holdings.freedBytes(new Set([one])), 60);
  assert.equal(holdings.freedBytes(new Set([one, two])), 1381, 'what they share goes with the last of them');
});

test('every path is told with what makes each step, garbage has none', async () => {
  const { subject, ask, shared, garbage } = await filled();
  await using _ = subject;
  const told = ask(shared)[0]?.paths.map((path) =>
    path.map(({ resource, because }) => `${resource.kind}: ${because}`),
  );
  const path = ['image: image', 'content: target of the image', `content: label ${gc('ref.content.l.0')}`];
  assert.deepEqual(told, [path, path]);
  assert.deepEqual(ask(garbage)[0]?.paths, []);
  assert.deepEqual(
    ask('overlayfs/k')[0]?.paths.map((steps) => steps.map(({ because }) => because)),
    [['image', `label ${gc('bref.image')} of its own`]],
  );
  assert.equal(ask(shared.slice(7, 17))[0]?.resource.id, shared);
  assert.throws(
    () => ask('nothing'),
    (error) => isKind(error, 'not_found'),
  );
});

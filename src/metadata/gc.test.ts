import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Context } from '../async/context.ts';
import { kindOf } from '../errors/error.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import type { Metadata } from './metadata.ts';
import { MemoryDriver, MetadataSubject } from './subject.suite.ts';

const past = '2020-01-01T00:00:00Z';
const future = '2120-01-01T00:00:00Z';
const gc = (name: string) => `containerd.io/gc.${name}`;

async function put(
  subject: MetadataSubject,
  ctx: Context,
  labels: Record<string, string> = {},
): Promise<Digest> {
  await using writer = await subject.metadata.content.writer(ctx, { ref: randomBytes(8).toString('hex') });
  await writer.write(randomBytes(20));
  return await writer.commit({ labels });
}

const image = (name: string, digest: Digest, labels: Record<string, string> = {}) => ({
  name,
  labels,
  target: { mediaType: 'm', digest, size: 20 },
});

const digests = async (subject: MetadataSubject, ctx: Context) =>
  (await subject.metadata.content.list(ctx)).map(({ digest }) => digest).sort();
const names = async (subject: MetadataSubject, ctx: Context) =>
  (await subject.snapshots.list(ctx)).map(({ name }) => name).sort();
const files = async (subject: MetadataSubject) =>
  (await readdir(join(subject.directory, 'content', 'blobs', 'sha256'))).map((hex) => `sha256:${hex}`).sort();

async function committed(subject: MetadataSubject, ctx: Context, name: string, parent = '', labels = {}) {
  await subject.snapshots.prepare(ctx, `tmp-${name}`, parent);
  await subject.snapshots.commit(ctx, name, `tmp-${name}`, labels);
}

test('content stays while a root refers to it, however far away, and goes with its bytes after that', async () => {
  await using subject = await MetadataSubject.open();
  const ctx = subject.context();
  const layer = await put(subject, ctx);
  const config = await put(subject, ctx);
  const manifest = await put(subject, ctx, {
    [gc('ref.content.config')]: config,
    [gc('ref.content.l.0')]: layer,
  });
  const index = await put(subject, ctx, { [gc('ref.content.m.0')]: manifest });
  const rooted = await put(subject, ctx, { [gc('root')]: past });
  const kept = await put(subject, ctx, { [gc('expire')]: future });
  await put(subject, ctx, { [gc('expire')]: past });
  await put(subject, ctx, { 'containerd.io/gc.ref.contentx': layer });
  await subject.metadata.images.create(ctx, image('x', index));
  assert.equal((await subject.metadata.gc.collectNow()).removed, 2);
  const all = [layer, config, manifest, index, rooted, kept].sort();
  assert.deepEqual(await digests(subject, ctx), all);
  assert.deepEqual(await files(subject), all);
  await subject.metadata.images.delete(ctx, 'x', { sync: true });
  assert.deepEqual(await digests(subject, ctx), [rooted, kept].sort());
  assert.deepEqual(await files(subject), [rooted, kept].sort());
});

test('bytes stay while any namespace holds the content', async () => {
  await using subject = await MetadataSubject.open();
  const [one, two] = [subject.context('one'), subject.context('two')];
  const { content, gc: collector } = subject.metadata;
  const digest = await put(subject, one);
  {
    await using writer = await content.writer(two, { ref: 'r', expected: digest });
    await collector.collectNow();
    assert.deepEqual(await files(subject), [digest], 'an open writer stands on them');
    await writer.commit({ labels: { [gc('root')]: past } });
  }
  await collector.collectNow();
  assert.deepEqual(await digests(subject, one), []);
  assert.deepEqual(await files(subject), [digest]);
  await content.delete(two, digest);
  await collector.collectNow();
  assert.deepEqual(await files(subject), []);
});

test('what the labels of a sandbox refer to stays with it', async () => {
  await using subject = await MetadataSubject.open();
  const ctx = subject.context();
  const { sandboxes, gc: collector } = subject.metadata;
  const kept = await put(subject, ctx);
  const sandbox = { id: 'pod', runtime: { name: 'r' }, extensions: {}, sandboxer: 'shim' };
  await sandboxes.create(ctx, { ...sandbox, labels: { [gc('ref.content.0')]: kept } });
  await collector.collectNow();
  assert.deepEqual(await digests(subject, ctx), [kept]);
  await sandboxes.update(ctx, { ...sandbox, labels: {} }, ['labels']);
  await collector.collectNow();
  assert.deepEqual(await digests(subject, ctx), []);
});

test('snapshots stay with the container, the config blob or the child that stands on them', async () => {
  await using subject = await MetadataSubject.open();
  const ctx = subject.context();
  const { containers, images, gc: collector } = subject.metadata;
  await committed(subject, ctx, 'a');
  await committed(subject, ctx, 'b', 'a');
  await committed(subject, ctx, 'c', 'b');
  await committed(subject, ctx, 'garbage', 'a');
  await committed(subject, ctx, 'root', '', { [gc('root')]: past });
  await subject.snapshots.prepare(ctx, 'run', 'b');
  await subject.snapshots.prepare(ctx, 'active-garbage', 'garbage');
  const config = await put(subject, ctx, { [gc('ref.snapshot.overlayfs/x')]: 'c' });
  await images.create(ctx, image('x', config));
  const spec = { typeUrl: 't', value: new Uint8Array([1]) };
  const made = { labels: {}, image: '', runtime: { name: 'r' }, spec, extensions: {}, sandboxId: '' };
  await containers.create(ctx, { ...made, id: 'c1', snapshotter: 'overlayfs', snapshotKey: 'run' });
  await collector.collectNow();
  assert.deepEqual(await names(subject, ctx), ['a', 'b', 'c', 'root', 'run']);
  assert.deepEqual(subject.driver.directories.size, 5);
  await images.delete(ctx, 'x');
  await collector.collectNow();
  assert.deepEqual(await names(subject, ctx), ['a', 'b', 'root', 'run']);
  await containers.delete(ctx, 'c1');
  await collector.collectNow();
  assert.deepEqual(await names(subject, ctx), ['root']);
  assert.equal(subject.driver.directories.size, 1);
  assert.equal(subject.events.topics().filter((topic) => topic === '/snapshot/remove').length, 6);
});

test('a lease keeps what was made under it; a flat one not what that refers to; an expired one nothing', async () => {
  await using subject = await MetadataSubject.open();
  const plain = subject.context();
  const { leases, gc: collector } = subject.metadata;
  await leases.create(plain, { id: 'deep', labels: { [gc('expire')]: future } });
  await leases.create(plain, { id: 'flat', labels: { [gc('flat')]: 'yes' } });
  await leases.create(plain, { id: 'old', labels: { [gc('expire')]: past } });
  const [child1, child2] = [await put(subject, plain), await put(subject, plain)];
  const deep = await put(subject, subject.context('testing', 'deep'), { [gc('ref.content')]: child1 });
  const flat = await put(subject, subject.context('testing', 'flat'), { [gc('ref.content')]: child2 });
  await put(subject, subject.context('testing', 'old'));
  await committed(subject, plain, 'p');
  await subject.snapshots.prepare(subject.context('testing', 'flat'), 'k', 'p');
  await collector.collectNow();
  assert.deepEqual(await digests(subject, plain), [child1, deep, flat].sort());
  assert.deepEqual(await names(subject, plain), ['k', 'p']);
  assert.deepEqual(
    (await leases.list(plain)).map(({ id }) => id),
    ['deep', 'flat'],
  );
  await leases.delete(plain, 'deep');
  await leases.delete(plain, 'flat', { sync: true });
  assert.deepEqual(await digests(subject, plain), []);
  assert.deepEqual(await names(subject, plain), []);
});

test('back references tie a child to its parent, and an expired image can be kept by another object', async () => {
  await using subject = await MetadataSubject.open();
  const ctx = subject.context();
  const { images, gc: collector } = subject.metadata;
  const target = await put(subject, ctx);
  const referrer = await put(subject, ctx, { [gc('bref.content')]: target });
  const kept = await put(subject, ctx, { [gc('bref.image.x')]: 'x', [gc('ref.image')]: 'old-kept' });
  const lost = await put(subject, ctx, { [gc('bref.image')]: 'nobody' });
  await images.create(ctx, image('x', target));
  await images.create(ctx, image('old', lost, { [gc('expire')]: past }));
  await images.create(ctx, image('old-kept', target, { [gc('expire')]: past }));
  await collector.collectNow();
  assert.deepEqual(await digests(subject, ctx), [target, referrer, kept].sort());
  assert.deepEqual(
    (await images.list(ctx)).map(({ name }) => name),
    ['old-kept', 'x'],
  );
  await images.delete(ctx, 'x', { sync: true });
  assert.deepEqual(await digests(subject, ctx), []);
});

test('a conditional reference keeps a snapshot while its use is so long ago', async () => {
  await using subject = await MetadataSubject.open();
  const ctx = subject.context();
  const ago = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
  const used = (hours: number) => ({ [gc('cond.value-usedat')]: ago(hours) });
  const { images, gc: collector } = subject.metadata;
  await committed(subject, ctx, 'young', '', used(1));
  await committed(subject, ctx, 'old', '', used(30));
  await committed(subject, ctx, 'silent');
  await committed(subject, ctx, 'of-blob', '', used(1));
  await committed(subject, ctx, 'of-nobody', '', used(1));
  const condition = (name: string, text = 'usedat<24h') => `${text}|${name}`;
  const target = await put(subject, ctx, {
    [gc('cond.snapshot.overlayfs')]: condition('of-blob', 'x=1,usedat>1m0.5s'),
  });
  await images.create(
    ctx,
    image('x', target, {
      [gc('cond.snapshot.overlayfs/1')]: condition('young'),
      [gc('cond.snapshot.overlayfs/2')]: condition('old'),
      [gc('cond.snapshot.overlayfs/3')]: condition('silent'),
      [gc('cond.snapshot.overlayfs/4')]: 'usedat<24h',
      [gc('cond.snapshot.overlayfs/5')]: condition('of-nobody', 'usedat=1h,usedat<day'),
      [gc('cond.snapshot.native')]: condition('of-nobody'),
    }),
  );
  await collector.collectNow();
  assert.deepEqual(await names(subject, ctx), ['of-blob', 'young']);
  await images.delete(ctx, 'x', { sync: true });
  assert.deepEqual(await names(subject, ctx), []);
});

test('a driver that hangs delays only those whose snapshots it removes', async () => {
  const slow = new MemoryDriver('slow');
  const { promise: hanging, resolve: wake } = Promise.withResolvers<void>();
  slow.remove = () => hanging;
  await using subject = await MetadataSubject.open({ drivers: [new MemoryDriver(), slow] });
  const ctx = subject.context();
  const { snapshotters, leases, content } = subject.metadata;
  await snapshotters.get('slow')?.prepare(ctx, 'k', '');
  await leases.create(ctx, { id: 'one' });
  await leases.create(ctx, { id: 'two' });
  let first = 'waits';
  const waiting = leases.delete(ctx, 'one', { sync: true }).then(() => {
    first = 'done';
  });
  while ((await snapshotters.get('slow')?.list(ctx))?.length !== 0) await new Promise((r) => setImmediate(r));
  await put(subject, ctx);
  await leases.delete(ctx, 'two', { sync: true });
  assert.deepEqual(await content.list(ctx), []);
  assert.equal(first, 'waits');
  wake();
  await waiting;
});

test('ingests go when they are a day old or their lease is gone, but not under their writer', async () => {
  await using subject = await MetadataSubject.open();
  const ctx = subject.context();
  const { content, leases, gc: collector, db } = subject.metadata;
  await leases.create(ctx, { id: 'l' });
  const open = await content.writer(subject.context('testing', 'l'), { ref: 'open' });
  for (const [ref, lease] of [['leased', 'l'], ['fresh'], ['stale']] as const) {
    await using writer = await content.writer(subject.context('testing', lease), { ref });
    await writer.write(Buffer.from('x'));
  }
  const refs = async () => (await content.listStatuses(ctx)).map(({ ref }) => ref);
  await db.write((tx) => tx.run("UPDATE ingests SET expires_at = 1 WHERE ref = 'stale'"));
  await collector.collectNow();
  assert.deepEqual(await refs(), ['fresh', 'leased', 'open']);
  await leases.delete(ctx, 'l', { sync: true });
  assert.deepEqual(await refs(), ['fresh', 'open']);
  await open[Symbol.asyncDispose]();
  await collector.collectNow();
  assert.deepEqual(await refs(), ['fresh']);
  // A lease that takes one over does not end its day, as in containerd.
  await leases.create(ctx, { id: 'l' });
  await using again = await content.writer(subject.context('testing', 'l'), { ref: 'fresh' });
  await again[Symbol.asyncDispose]();
  await leases.delete(ctx, 'l', { sync: true });
  assert.deepEqual(await refs(), ['fresh']);
  const expected = await put(subject, ctx);
  await db.write((tx) => tx.run('UPDATE ingests SET expected = ?', expected));
  await collector.collectNow();
  assert.deepEqual(await digests(subject, ctx), [expected], 'what an ingest is to become stays');
  assert.equal((await readdir(join(subject.directory, 'content', 'ingest'))).length, 1);
});

/** One client that pulls, checks that all it was told is there, and deletes, again and again. */
async function client(subject: MetadataSubject, id: number, rounds: number, shared: Buffer): Promise<void> {
  const { content, images, leases }: Metadata = subject.metadata;
  const namespace = id % 2 === 0 ? 'even' : 'odd';
  const plain = subject.context(namespace);
  for (let round = 0; round < rounds; round++) {
    const lease = await leases.create(plain, {});
    const ctx = subject.context(namespace, lease.id);
    const layer = await ensure(subject, ctx, shared, {});
    const own = await ensure(subject, ctx, Buffer.from(`${id}.${round}`), {});
    const manifest = Buffer.from(`manifest ${id} ${round}`);
    const target = await ensure(subject, ctx, manifest, {
      [gc('ref.content.0')]: layer,
      [gc('ref.content.1')]: own,
    });
    await images.create(ctx, image(`image-${id}`, target));
    await leases.delete(plain, lease.id, { sync: round % 3 === 0 });
    for (const digest of [layer, own, target]) {
      await using reader = await content.reader(plain, digest);
      const bytes = await reader.bytes(1000);
      assert.equal(`sha256:${createHash('sha256').update(bytes).digest('hex')}`, digest);
    }
    await images.delete(plain, `image-${id}`, { sync: round % 4 === 0 });
  }
}

async function ensure(subject: MetadataSubject, ctx: Context, data: Buffer, labels: Record<string, string>) {
  const digest = parseDigest(`sha256:${createHash('sha256').update(data).digest('hex')}`);
  for (;;) {
    try {
      await using writer = await subject.metadata.content.writer(ctx, { ref: digest, expected: digest });
      if (writer.status.offset === 0) await writer.write(data);
      return await writer.commit({ sizeBytes: data.length, expected: digest, labels });
    } catch (error) {
      if (kindOf(error) === 'already_exists') return digest;
      if (kindOf(error) !== 'unavailable') throw error;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

test('collections between writers never take what is referenced or leased, and in the end nothing is left', async () => {
  await using subject = await MetadataSubject.open();
  subject.metadata.gc.start();
  const shared = Buffer.from('a layer everybody has');
  let pulling = true;
  const collecting = (async () => {
    while (pulling) await subject.metadata.gc.collectNow();
  })();
  await Promise.all(Array.from({ length: 8 }, (_, id) => client(subject, id, 12, shared))).finally(() => {
    pulling = false;
  });
  await collecting;
  await subject.metadata.gc.collectNow();
  assert.deepEqual(await files(subject), []);
  assert.equal(subject.metadata.db.all('SELECT * FROM blobs').length, 0);
  assert.equal(subject.metadata.db.all('SELECT * FROM lease_resources').length, 0);
});

test('deletions start a collection by themselves', async () => {
  const soon = {
    pauseThreshold: 0.5,
    deletionThreshold: 0,
    mutationThreshold: 100,
    scheduleDelayMs: 0,
    startupDelayMs: 1,
  };
  await using subject = await MetadataSubject.open({ gc: soon });
  const ctx = subject.context();
  const { images, gc: collector } = subject.metadata;
  await images.create(ctx, image('x', await put(subject, ctx)));
  collector.start();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal((await digests(subject, ctx)).length, 1);
  await images.delete(ctx, 'x');
  const deadline = Date.now() + 3000;
  while ((await digests(subject, ctx)).length > 0 && Date.now() < deadline)
    await new Promise((r) => setTimeout(r, 10));
  assert.deepEqual(await digests(subject, ctx), []);
});

test('a start drops records whose bytes are lost, and bytes that nobody knows', async () => {
  await using subject = await MetadataSubject.open();
  const ctx = subject.context();
  const lost = await put(subject, ctx, { [gc('root')]: past });
  const kept = await put(subject, ctx, { [gc('root')]: past });
  const orphan = await put(subject, ctx, { [gc('root')]: past });
  await rm(join(subject.directory, 'content', 'blobs', 'sha256', lost.slice(7)));
  await subject.metadata.db.write((tx) => tx.run('DELETE FROM blobs WHERE digest = ?', orphan));
  const { reconciled } = await subject.restart();
  assert.deepEqual(reconciled.lostBlobs, [`testing ${lost}`]);
  assert.equal(reconciled.orphanBlobs, 1);
  assert.deepEqual(await digests(subject, ctx), [kept]);
  assert.deepEqual(await files(subject), [kept]);
});

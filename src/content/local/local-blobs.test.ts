import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isKind } from '../../errors/error.ts';
import { type Digest, parseDigest } from '../../oci/digest.ts';
import type { Blobs } from '../blobs.ts';
import { openLocalBlobs } from './local-blobs.ts';

async function store(t: TestContext): Promise<{ blobs: Blobs; root: string }> {
  const root = mkdtempSync(join(tmpdir(), 'berth-blobs-'));
  t.after(() => rmSync(root, { recursive: true }));
  return { blobs: await openLocalBlobs(root), root };
}

const digestOf = (data: Uint8Array, algorithm = 'sha256'): Digest =>
  parseDigest(`${algorithm}:${createHash(algorithm).update(data).digest('hex')}`);

async function put(blobs: Blobs, key: string, data: Uint8Array): Promise<Digest> {
  await using ingest = await blobs.ingest(key);
  await ingest.write(data);
  return (await ingest.commit({})).digest;
}

async function readAll(blobs: Blobs, digest: Digest, from?: number, to?: number): Promise<Buffer> {
  await using reader = await blobs.open(digest);
  return Buffer.concat(await Array.fromAsync(reader.stream(from, to)));
}

test('a committed blob has its digest as name, is read-only and reads back in any range', async (t) => {
  const { blobs, root } = await store(t);
  const data = Buffer.alloc(3 << 20, 'abcdefg');
  const digest = await put(blobs, 'k1', data);
  assert.equal(digest, digestOf(data));
  assert.equal(statSync(join(root, 'blobs', 'sha256', digest.slice(7))).mode & 0o777, 0o444);
  assert.equal(statSync(root).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(join(root, 'ingest')), []);
  assert.ok((await readAll(blobs, digest)).equals(data));
  assert.ok((await readAll(blobs, digest, 1048570, 1048590)).equals(data.subarray(1048570, 1048590)));
  assert.equal((await readAll(blobs, digest, data.length)).length, 0);
  await assert.rejects(readAll(blobs, digest, data.length + 1), (e) => isKind(e, 'out_of_range'));
});

test('an ingest goes on where it was left, also from another store, and its digest covers the old bytes', async (t) => {
  const { blobs, root } = await store(t);
  {
    await using ingest = await blobs.ingest('part');
    await ingest.write(Buffer.from('hello '));
  }
  const again = await openLocalBlobs(root);
  assert.equal((await again.findIngest('part'))?.offset, 6);
  await using ingest = await again.ingest('part');
  assert.equal(ingest.offset, 6);
  await ingest.write(Buffer.from('world'));
  assert.equal(await ingest.digest(), digestOf(Buffer.from('hello world')));
  await ingest.truncate(5);
  assert.equal(await ingest.digest(), digestOf(Buffer.from('hello')));
  await ingest.write(Buffer.from('!'));
  assert.equal((await ingest.commit({ sizeBytes: 6 })).digest, digestOf(Buffer.from('hello!')));
});

test('a wrong size or digest is refused and the ingest stays usable', async (t) => {
  const { blobs } = await store(t);
  await using ingest = await blobs.ingest('k');
  await ingest.write(Buffer.from('data'));
  await assert.rejects(ingest.commit({ sizeBytes: 5 }), (e) => isKind(e, 'failed_precondition'));
  const other = digestOf(Buffer.from('other'));
  await assert.rejects(ingest.commit({ expected: other }), (e) => isKind(e, 'failed_precondition'));
  await ingest.commit({ sizeBytes: 4, expected: digestOf(Buffer.from('data')) });
  assert.equal(await blobs.has(other), false);
  await assert.rejects(ingest.write(Buffer.from('x')), (e) => isKind(e, 'failed_precondition'));
});

test('an expected sha512 digest is verified and names the blob', async (t) => {
  const { blobs } = await store(t);
  const expected = digestOf(Buffer.from('data'), 'sha512');
  await using ingest = await blobs.ingest('k');
  await ingest.write(Buffer.from('data'));
  assert.equal((await ingest.commit({ expected })).digest, expected);
  assert.equal((await readAll(blobs, expected)).toString(), 'data');
});

test('two ingests of the same bytes become one blob, and deleting it twice is fine', async (t) => {
  const { blobs } = await store(t);
  const [a, b] = await Promise.all([put(blobs, 'a', Buffer.from('x')), put(blobs, 'b', Buffer.from('x'))]);
  assert.equal(a, b);
  assert.deepEqual(
    (await Array.fromAsync(blobs.walk())).map(({ digest, sizeBytes }) => [digest, sizeBytes]),
    [[a, 1]],
  );
  await blobs.delete(a);
  await blobs.delete(a);
  await assert.rejects(blobs.open(a), (e) => isKind(e, 'not_found'));
});

test('an open reader reads on when its blob is deleted', async (t) => {
  const { blobs } = await store(t);
  const digest = await put(blobs, 'a', Buffer.alloc(2 << 20, 1));
  await using reader = await blobs.open(digest);
  await blobs.delete(digest);
  assert.equal((await reader.bytes(3 << 20)).length, 2 << 20);
  await assert.rejects(reader.bytes(1), (e) => isKind(e, 'resource_exhausted'));
});

test('keys that are not plain names never reach the disk', async (t) => {
  const { blobs, root } = await store(t);
  for (const key of ['', '.', '..', '../x', 'a/b', 'a\0b', 'x'.repeat(129)]) {
    await assert.rejects(blobs.ingest(key), (e) => isKind(e, 'invalid_argument'), JSON.stringify(key));
  }
  symlinkSync('/etc/passwd', join(root, 'ingest', 'link'));
  await assert.rejects(blobs.ingest('link'));
  assert.doesNotMatch(readFileSync('/etc/passwd', 'utf8'), /berth/);
  await (await blobs.ingest('A-z_0'))[Symbol.asyncDispose]();
  assert.deepEqual((await Array.fromAsync(blobs.walkIngests())).sort(), ['A-z_0', 'link']);
  await blobs.abortIngest('A-z_0');
  await blobs.abortIngest('A-z_0');
  assert.equal(await blobs.findIngest('A-z_0'), undefined);
});

test('the event loop is not held while large data is written', async (t) => {
  const { blobs } = await store(t);
  // Of the thread's own time: what a busy machine takes away is not held by it.
  const usedMs = () => process.threadCpuUsage().user / 1000;
  let longest = 0;
  let last = usedMs();
  const timer = setInterval(() => {
    longest = Math.max(longest, usedMs() - last);
    last = usedMs();
  }, 1);
  await put(blobs, 'big', Buffer.alloc(64 << 20));
  clearInterval(timer);
  assert.ok(longest < 100, `held for ${longest} ms`);
});

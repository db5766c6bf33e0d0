import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import type { Context } from '../async/context.ts';
import { type ErrorKind, kindOf } from '../errors/error.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import type { ContentStore, ContentWriter } from './store.ts';

/** A store to be tested: fresh, with whatever is under it, and gone when disposed. */
export interface ContentSubject extends AsyncDisposable {
  readonly store: ContentStore;
  /** A context in `namespace`. */
  context(namespace: string): Context;
  /** Stops and starts what is under the store, on the same disk; absent where that cannot be done. */
  restart?(): Promise<ContentStore>;
}

/**
 * What every content store must do: the contract of `store.ts` and the cases of containerd's core/content/testsuite
 * (named in brackets). `open` makes a fresh subject for each case.
 */
export function contentStoreSuite(name: string, open: () => Promise<ContentSubject>): void {
  const check = (title: string, body: (subject: ContentSubject, ctx: Context) => Promise<void>) =>
    it(title, async () => {
      await using subject = await open();
      await body(subject, subject.context('testing'));
    });
  describe(name, () => {
    writing(check);
    committing(check);
    resuming(check);
    refs(check);
    reading(check);
    labels(check);
    namespaces(check);
  });
}

type Check = (title: string, body: (subject: ContentSubject, ctx: Context) => Promise<void>) => void;

const root = { 'containerd.io/gc.root': '2026-01-01T00:00:00Z' };
const digestOf = (data: Uint8Array, algorithm = 'sha256'): Digest =>
  parseDigest(`${algorithm}:${createHash(algorithm).update(data).digest('hex')}`);

function blob(size = 256): { data: Buffer; digest: Digest } {
  const data = randomBytes(size);
  return { data, digest: digestOf(data) };
}

async function put(store: ContentStore, ctx: Context, ref: string, data: Uint8Array): Promise<Digest> {
  await using writer = await store.writer(ctx, { ref });
  await writer.write(data);
  return await writer.commit({ sizeBytes: data.length });
}

async function readAll(store: ContentStore, ctx: Context, digest: Digest, from?: number, to?: number) {
  await using reader = await store.reader(ctx, digest);
  return Buffer.concat(await Array.fromAsync(reader.stream(from, to)));
}

const rejects = (promise: Promise<unknown>, kind: ErrorKind): Promise<void> =>
  assert.rejects(promise, (error) => {
    assert.equal(kindOf(error), kind, String(error));
    return true;
  });

function within(date: Date, from: number, what: string): void {
  // File times come from the kernel's coarse clock, which runs a few milliseconds behind.
  const slackMs = 20;
  assert.ok(
    date.getTime() >= from - slackMs && date.getTime() <= Date.now() + slackMs,
    `${what} ${date.toISOString()}`,
  );
}

function writing(check: Check): void {
  check('[Writer] takes content with and without size and digest told beforehand', async ({ store }, ctx) => {
    const large = blob(3 << 20);
    const cases = [
      { ...blob(), options: () => ({}) },
      { ...blob(), options: (b: { data: Buffer }) => ({ total: b.data.length }) },
      { ...blob(), options: (b: { digest: Digest }) => ({ expected: b.digest }) },
      { ...large, options: () => ({ total: large.data.length, expected: large.digest }) },
    ];
    const writers = await Promise.all(
      cases.map((c, i) => store.writer(ctx, { ref: `c${i}`, ...c.options(c) })),
    );
    for (const [i, { data, digest }] of cases.entries()) {
      await using writer = writers[i] as ContentWriter;
      for (let at = 0; at < data.length; at += 100_000) await writer.write(data.subarray(at, at + 100_000));
      const before = Date.now();
      assert.equal(await writer.commit({ labels: root }), digest);
      const info = await store.info(ctx, digest);
      assert.equal(info.sizeBytes, data.length);
      assert.deepEqual({ ...info.labels }, root);
      within(info.createdAt, before, 'createdAt');
      within(info.updatedAt, before, 'updatedAt');
    }
  });

  check('[UpdateStatus] says offset, total, digest and times while it grows', async ({ store }, ctx) => {
    const { data, digest } = blob();
    const before = Date.now();
    await using writer = await store.writer(ctx, { ref: 'c1', total: 256, expected: digest });
    for (const [from, to] of [
      [0, 0],
      [0, 64],
      [64, 192],
      [192, 256],
    ] as const) {
      await writer.write(data.subarray(from, to));
      assert.equal(writer.status.offset, to);
      assert.equal(writer.status.total, 256);
      assert.equal(writer.status.ref, 'c1');
      assert.equal(await writer.digest(), digestOf(data.subarray(0, to)));
      within(writer.status.startedAt, before, 'startedAt');
      within(writer.status.updatedAt, before, 'updatedAt');
    }
    const status = await store.status(ctx, 'c1');
    assert.equal(status.offset, 256);
    assert.equal(status.expected, digest);
    assert.deepEqual(
      (await store.listStatuses(ctx)).map(({ ref }) => ref),
      ['c1'],
    );
    assert.deepEqual(await store.listStatuses(ctx, ['ref==other']), []);
    await writer.commit({});
    await rejects(store.status(ctx, 'c1'), 'not_found');
  });

  check('a truncated writer starts again', async ({ store }, ctx) => {
    const { data, digest } = blob();
    await using writer = await store.writer(ctx, { ref: 'c1' });
    await writer.write(Buffer.from('something else'));
    await writer.truncate(0);
    await writer.write(data);
    assert.equal(await writer.commit({ expected: digest }), digest);
  });
}

function committing(check: Check): void {
  check(
    '[CommitExists] says that the content is here, with and without the digest told',
    async ({ store }, ctx) => {
      const { data, digest } = blob();
      await put(store, ctx, 'c1', data);
      for (const expected of [digest, undefined]) {
        await using writer = await store.writer(ctx, { ref: 'again' });
        await writer.write(data);
        await rejects(writer.commit({ sizeBytes: data.length, expected }), 'already_exists');
      }
    },
  );

  check('a writer of content that is here is refused', async ({ store }, ctx) => {
    const { data, digest } = blob();
    await put(store, ctx, 'c1', data);
    await rejects(store.writer(ctx, { ref: 'c2', expected: digest }), 'already_exists');
    await rejects(store.status(ctx, 'c2'), 'not_found');
  });

  check(
    '[CommitErrorState] a refused commit keeps the bytes, and the ref is held until the end',
    async ({ store }, ctx) => {
      const ref = 'c1-commiterror-state';
      const { data, digest } = blob();
      await put(store, ctx, 'c1', data);
      const exists = await store.writer(ctx, { ref });
      await exists.write(data);
      await rejects(store.writer(ctx, { ref }), 'unavailable');
      await rejects(exists.commit({ sizeBytes: data.length, expected: digest }), 'already_exists');

      const more = Buffer.concat([data, Buffer.from('more')]);
      {
        await using writer = await store.writer(ctx, { ref });
        assert.equal(writer.status.offset, 0);
        await writer.write(more);
        await rejects(
          writer.commit({ sizeBytes: more.length, expected: blob().digest }),
          'failed_precondition',
        );
      }
      {
        await using writer = await store.writer(ctx, { ref });
        await rejects(store.writer(ctx, { ref }), 'unavailable');
        await rejects(writer.commit({ sizeBytes: data.length }), 'failed_precondition');
      }
      await using writer = await store.writer(ctx, { ref });
      assert.equal(writer.status.offset, more.length);
      assert.equal(await writer.commit({ sizeBytes: more.length }), digestOf(more));
      await using free = await store.writer(ctx, { ref });
      assert.equal(free.status.offset, 0);
    },
  );

  check('a digest of another algorithm is verified too', async ({ store }, ctx) => {
    const { data } = blob();
    const expected = digestOf(data, 'sha512');
    await using writer = await store.writer(ctx, { ref: 'c1', expected });
    await writer.write(data);
    assert.equal(await writer.commit({ expected }), expected);
    assert.deepEqual(await readAll(store, ctx, expected), data);
  });
}

function resuming(check: Check): void {
  const ways = {
    '[ResumeTruncate] starts again': async (writer: ContentWriter, data: Buffer) => {
      await writer.truncate(0);
      await writer.write(data);
    },
    '[ResumeDiscard, ResumeCopy, ResumeCopySeeker, ResumeCopyReaderAt] goes on at its offset': async (
      writer: ContentWriter,
      data: Buffer,
    ) => writer.write(data.subarray(writer.status.offset)),
  };
  for (const [title, finish] of Object.entries(ways)) {
    check(`an ingest that was left ${title}`, async ({ store }, ctx) => {
      for (const size of [500, 50_000]) {
        for (const part of [0, 0.1, 0.5, 0.9, 1]) {
          const { data, digest } = blob(size);
          const options = { ref: `ref-${size}-${part}`, total: size, expected: digest };
          const written = Math.floor(size * part);
          await using(await store.writer(ctx, options), (writer) => writer.write(data.subarray(0, written)));
          await using writer = await store.writer(ctx, options);
          assert.equal(writer.status.offset, written);
          await finish(writer, data);
          assert.equal(await writer.commit({ sizeBytes: size, expected: digest }), digest);
          assert.deepEqual(await readAll(store, ctx, digest), data);
        }
      }
    });
  }

  check('[Resume] shows the same status before and after it was left', async ({ store }, ctx) => {
    const { data, digest } = blob();
    const options = { ref: 'cb', total: 256, expected: digest };
    const before = Date.now();
    const first = await store.writer(ctx, options);
    await first.write(data.subarray(0, 128));
    await first[Symbol.asyncDispose]();
    assert.equal((await store.status(ctx, 'cb')).offset, 128);
    await using second = await store.writer(ctx, options);
    assert.equal(second.status.offset, 128);
    assert.equal(second.status.total, 256);
    assert.equal(await second.digest(), digestOf(data.subarray(0, 128)));
    within(second.status.startedAt, before, 'startedAt');
    within(second.status.updatedAt, before, 'updatedAt');
    await second.write(data.subarray(128));
    assert.equal(await second.commit({}), digest);
  });

  check('an ingest goes on after a restart', async (subject, ctx) => {
    if (!subject.restart) return;
    const { data, digest } = blob(5000);
    const options = { ref: 'r', total: 5000, expected: digest };
    await using(await subject.store.writer(ctx, options), (writer) => writer.write(data.subarray(0, 2000)));
    const store = await subject.restart();
    const [status] = await store.listStatuses(ctx);
    assert.deepEqual(
      [status?.ref, status?.offset, status?.total, status?.expected],
      ['r', 2000, 5000, digest],
    );
    await using writer = await store.writer(ctx, options);
    await writer.write(data.subarray(2000));
    assert.equal(await writer.commit({ sizeBytes: 5000, expected: digest }), digest);
  });
}

async function using<T extends AsyncDisposable>(
  resource: T,
  body: (resource: T) => Promise<unknown>,
): Promise<void> {
  await using held = resource;
  await body(held);
}

function refs(check: Check): void {
  check(
    '[RefNotAvailable] a ref has one writer at a time, in its namespace',
    async ({ store, context }, ctx) => {
      const first = await store.writer(ctx, { ref: 'r' });
      await rejects(store.writer(ctx, { ref: 'r' }), 'unavailable');
      await using other = await store.writer(context('other'), { ref: 'r' });
      assert.equal(other.status.offset, 0);
      await first[Symbol.asyncDispose]();
      await using again = await store.writer(ctx, { ref: 'r' });
      assert.equal(again.status.ref, 'r');
    },
  );

  check('an aborted ingest is gone, and its bytes with it', async ({ store }, ctx) => {
    await using(await store.writer(ctx, { ref: 'r' }), (writer) => writer.write(Buffer.from('part')));
    await store.abort(ctx, 'r');
    await rejects(store.status(ctx, 'r'), 'not_found');
    await rejects(store.abort(ctx, 'r'), 'not_found');
    await using writer = await store.writer(ctx, { ref: 'r' });
    assert.equal(writer.status.offset, 0);
  });

  check('refs may look like anything, but not be empty', async ({ store }, ctx) => {
    await rejects(store.writer(ctx, { ref: '' }), 'invalid_argument');
    for (const ref of ['../../etc/passwd', 'layer-sha256:abc', 'a b/ü\n', 'x'.repeat(1000)]) {
      const { data, digest } = blob(10);
      assert.equal(await put(store, ctx, ref, data), digest);
    }
  });
}

function reading(check: Check): void {
  check('[SmallBlob] is read whole, in parts and never past its end', async ({ store }, ctx) => {
    const data = Buffer.from('foobar');
    const digest = await put(store, ctx, 'small', data);
    assert.deepEqual(await readAll(store, ctx, digest), data);
    assert.deepEqual(await readAll(store, ctx, digest, 3), Buffer.from('bar'));
    assert.deepEqual(await readAll(store, ctx, digest, 1, 100), Buffer.from('oobar'));
    assert.equal((await readAll(store, ctx, digest, 6)).length, 0);
    await rejects(readAll(store, ctx, digest, 7), 'out_of_range');
    await using reader = await store.reader(ctx, digest);
    assert.deepEqual(Buffer.from(await reader.bytes(6)), data);
    await rejects(reader.bytes(5), 'resource_exhausted');
  });

  check('an empty blob is a blob', async ({ store }, ctx) => {
    const digest = await put(store, ctx, 'empty', new Uint8Array());
    assert.equal((await store.info(ctx, digest)).sizeBytes, 0);
    assert.equal((await readAll(store, ctx, digest)).length, 0);
  });

  check('what is not here is not found, by every way of asking', async ({ store }, ctx) => {
    const { digest } = blob();
    await rejects(store.info(ctx, digest), 'not_found');
    await rejects(readAll(store, ctx, digest), 'not_found');
    await rejects(store.delete(ctx, digest), 'not_found');
    await rejects(store.update(ctx, { digest, labels: {} }), 'not_found');
    await rejects(store.status(ctx, 'nothing'), 'not_found');
  });

  check('deleted content is gone and can come again', async ({ store }, ctx) => {
    const { data, digest } = blob();
    await put(store, ctx, 'a', data);
    await store.delete(ctx, digest);
    await rejects(store.info(ctx, digest), 'not_found');
    assert.equal(await put(store, ctx, 'a', data), digest);
    assert.deepEqual(await readAll(store, ctx, digest), data);
  });
}

function labels(check: Check): void {
  check('[Labels] are set at commit, replaced whole or one by one', async ({ store }, ctx) => {
    const { data, digest } = blob();
    await using writer = await store.writer(ctx, { ref: 'c1' });
    await writer.write(data);
    await writer.commit({ labels: { k1: 'v1', k2: 'v2', ...root } });
    const labelsNow = async () => ({ ...(await store.info(ctx, digest)).labels });
    assert.deepEqual(await labelsNow(), { k1: 'v1', k2: 'v2', ...root });
    await store.update(ctx, { digest, labels: { k1: 'new', k3: 'v3', ...root } });
    assert.deepEqual(await labelsNow(), { k1: 'new', k3: 'v3', ...root });
    const updated = await store.update(ctx, { digest, labels: { k1: 'v1' } }, ['labels.k3', 'labels.k1']);
    assert.deepEqual({ ...updated.labels }, { k1: 'v1', ...root });
    assert.deepEqual(await labelsNow(), { k1: 'v1', ...root });
    assert.ok(updated.updatedAt >= updated.createdAt);
  });

  check('other fields and labels over 4096 bytes are refused', async ({ store }, ctx) => {
    const digest = await put(store, ctx, 'c', blob().data);
    await rejects(store.update(ctx, { digest, labels: {} }, ['size']), 'invalid_argument');
    await rejects(store.update(ctx, { digest, labels: { k: 'x'.repeat(4096) } }), 'invalid_argument');
    await store.update(ctx, { digest, labels: { k: 'x'.repeat(4095) } });
    await using writer = await store.writer(ctx, { ref: 'd' });
    await writer.write(Buffer.from('d'));
    await rejects(writer.commit({ labels: { k: 'x'.repeat(4096) } }), 'invalid_argument');
  });

  check('lists what matches any filter', async ({ store }, ctx) => {
    const a = await put(store, ctx, 'a', blob().data);
    const b = await put(store, ctx, 'b', blob().data);
    await store.update(ctx, { digest: a, labels: { 'a.b/c': 'x' } });
    const listed = async (...filters: string[]) =>
      (await store.list(ctx, filters)).map(({ digest }) => digest).sort();
    assert.deepEqual(await listed(), [a, b].sort());
    assert.deepEqual(await listed(`digest==${a}`, `digest==${b}`), [a, b].sort());
    assert.deepEqual(await listed('labels."a.b/c"==x'), [a]);
    await rejects(listed('=='), 'invalid_argument');
  });
}

function namespaces(check: Check): void {
  check(
    '[CrossNamespaceShare] content of another namespace needs no bytes, only the digest',
    async (subject, ctx) => {
      const { store } = subject;
      const other = subject.context('other');
      const { data, digest } = blob(1000);
      await put(store, ctx, 'r', data);
      await rejects(store.info(other, digest), 'not_found');
      await rejects(readAll(store, other, digest), 'not_found');
      await using writer = await store.writer(other, { ref: 'r', total: 1000, expected: digest });
      assert.equal(writer.status.offset, 1000);
      assert.equal(writer.status.total, 1000);
      assert.equal(await writer.digest(), digest);
      assert.equal(await writer.commit({ sizeBytes: 1000, expected: digest }), digest);
      await store.delete(ctx, digest);
      assert.deepEqual(await readAll(store, other, digest), data);
    },
  );

  check('[CrossNamespaceAppend] shared bytes can be built upon', async (subject, ctx) => {
    const { store } = subject;
    const other = subject.context('other');
    const { data, digest } = blob(1000);
    await put(store, ctx, 'r', data);
    const longer = Buffer.concat([data, Buffer.from('appended bytes')]);
    await using writer = await store.writer(other, { ref: 'r', total: 1000, expected: digest });
    await writer.write(longer.subarray(1000));
    assert.equal(
      await writer.commit({ sizeBytes: longer.length, expected: digestOf(longer) }),
      digestOf(longer),
    );
    assert.deepEqual(await readAll(store, ctx, digest), data);
    assert.deepEqual(await readAll(store, other, digestOf(longer)), longer);
    await rejects(store.info(other, digest), 'not_found');
  });

  check(
    '[CrossNamespaceIsolate] nobody gets at content without its digest and size',
    async (subject, ctx) => {
      const { store } = subject;
      const other = subject.context('other');
      const { data, digest } = blob(1000);
      await put(store, ctx, 'r', data);
      assert.deepEqual(await store.list(other), []);
      await using writer = await store.writer(other, { ref: 'r', total: 999, expected: digest });
      assert.equal(writer.status.offset, 0);
      await using unnamed = await store.writer(other, { ref: 'r2' });
      assert.equal(unnamed.status.offset, 0);
    },
  );

  check('a namespace is required', async ({ store, context }) => {
    await rejects(store.list(context('')), 'failed_precondition');
  });
}

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { kindOf } from '../errors/error.ts';
import {
  InfoRequestSchema,
  ReadContentRequestSchema,
  WriteAction,
  WriteContentRequestSchema,
} from '../gen/containerd/services/content/v1/content_pb.ts';
import { MetadataSubject } from '../metadata/subject.suite.ts';
import { contentService } from './content.ts';
import { writeContent } from './content-write.ts';

const { STAT, WRITE, COMMIT } = WriteAction;
type Message = MessageInitShape<typeof WriteContentRequestSchema>;
const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const bytes = (text: string) => new Uint8Array(Buffer.from(text));

async function* messages(list: readonly Message[]) {
  for (const message of list) yield create(WriteContentRequestSchema, message);
}

const write = (subject: MetadataSubject, ...list: Message[]) =>
  Array.fromAsync(writeContent(subject.metadata.content, messages(list), subject.context()));

const fails = (promise: Promise<unknown>, kind: string, words: RegExp) =>
  assert.rejects(promise, (error) => kindOf(error) === kind && words.test(String(error)));

test('a write answers every message and ends at COMMIT', async () => {
  await using subject = await MetadataSubject.open();
  const [stat, first, last, none] = await write(
    subject,
    { action: STAT, ref: 'r', total: 6n, expected: digestOf('foobar') },
    { action: WRITE, data: bytes('foo'), offset: 0n },
    {
      action: COMMIT,
      data: bytes('bar'),
      offset: 3n,
      total: 6n,
      expected: digestOf('foobar'),
      labels: { a: 'b' },
    },
    { action: WRITE, data: bytes('never read') },
  );
  assert.deepEqual([stat?.offset, stat?.total, stat?.digest], [0n, 6n, digestOf('')]);
  assert.deepEqual([first?.action, first?.offset, first?.digest], [WRITE, 3n, digestOf('foo')]);
  assert.deepEqual([last?.action, last?.offset, last?.digest], [COMMIT, 6n, digestOf('foobar')]);
  assert.equal(none, undefined);
  const [info] = await subject.metadata.content.list(subject.context());
  assert.deepEqual({ ...info?.labels }, { a: 'b' });
});

test('offset 0 starts again, any other offset but the current one is out of range', async () => {
  await using subject = await MetadataSubject.open();
  await write(subject, { action: WRITE, ref: 'r', data: bytes('old bytes') });
  await fails(
    write(subject, { action: WRITE, ref: 'r', data: bytes('x'), offset: 4n }),
    'out_of_range',
    /write @4 must occur at current offset 9/,
  );
  const [stat] = await write(subject, { action: STAT, ref: 'r' });
  assert.equal(stat?.offset, 9n);
  const [again] = await write(subject, { action: WRITE, ref: 'r', data: bytes('new') });
  assert.deepEqual([again?.offset, again?.digest], [3n, digestOf('new')]);
});

test('a total that no file has is refused when all is written, as any wrong one is', async () => {
  await using subject = await MetadataSubject.open();
  await fails(
    write(
      subject,
      { action: WRITE, ref: 'r', data: bytes('foo') },
      { action: COMMIT, offset: 3n, total: 2n ** 63n - 1n },
    ),
    'failed_precondition',
    /"r" failed size validation: 3 != 9223372036854775807/,
  );
});

test('a write is refused without a ref, while another has it, and for content that is here', async () => {
  await using subject = await MetadataSubject.open();
  const { content } = subject.metadata;
  await fails(write(subject, { action: STAT }), 'invalid_argument', /first message must have a reference/);
  {
    await using _held = await content.writer(subject.context(), { ref: 'r' });
    await fails(write(subject, { action: STAT, ref: 'r' }), 'unavailable', /locked/);
  }
  await write(subject, { action: COMMIT, ref: 'a', data: bytes('x') });
  await fails(
    write(subject, { action: STAT, ref: 'b', expected: digestOf('x') }),
    'already_exists',
    /already exists/,
  );
  await fails(
    write(subject, { action: STAT, ref: 'b' }, { action: COMMIT, data: bytes('x'), expected: digestOf('x') }),
    'already_exists',
    /blob with expected digest .* exists/,
  );
  await fails(content.status(subject.context(), 'b'), 'not_found', /b/);
  await fails(
    write(subject, { action: COMMIT, ref: 'c', data: bytes('y'), expected: digestOf('z') }),
    'failed_precondition',
    /unexpected commit digest/,
  );
  await fails(
    write(subject, { action: COMMIT, ref: 'd', data: bytes('y'), total: 9n }),
    'failed_precondition',
    /size/,
  );
});

test('a stream that ends without COMMIT leaves the ingest to be resumed', async () => {
  await using subject = await MetadataSubject.open();
  await write(subject, { action: WRITE, ref: 'r', total: 6n, data: bytes('foo') });
  const status = await subject.metadata.content.status(subject.context(), 'r');
  assert.deepEqual([status.offset, status.total], [3, 6]);
});

test('reads are cut to what is there and numbered from the start of the answer', async () => {
  await using subject = await MetadataSubject.open();
  await write(subject, { action: COMMIT, ref: 'a', data: bytes('x'.repeat(3 << 20)) });
  const digest = digestOf('x'.repeat(3 << 20));
  const service = contentService(subject.metadata.content).impl;
  const read = (offset: bigint, size: bigint) =>
    Array.fromAsync(
      (
        service.read as (
          request: unknown,
          ctx: unknown,
        ) => AsyncIterable<{ offset: bigint; data: Uint8Array }>
      )(create(ReadContentRequestSchema, { digest, offset, size }), subject.context()),
    );
  const all = await read(0n, 0n);
  assert.deepEqual(
    all.map(({ offset, data }) => [offset, data.length]),
    [
      [0n, 1 << 20],
      [1n << 20n, 1 << 20],
      [2n << 20n, 1 << 20],
    ],
  );
  assert.deepEqual(
    (await read(10n, 5n)).map(({ offset, data }) => [offset, data.length]),
    [[0n, 5]],
  );
  assert.equal((await read(BigInt(3 << 20), 1n)).length, 0);
  await fails(read(BigInt((3 << 20) + 1), 0n), 'out_of_range', /read past object length 3145728 bytes/);
  const info = service.info as (request: unknown, ctx: unknown) => Promise<unknown>;
  await fails(
    info(create(InfoRequestSchema, { digest: 'sha256:../x' }), subject.context()),
    'invalid_argument',
    /failed validation/,
  );
});

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Context } from '../async/context.ts';
import type { ContentStore, ContentWriter } from '../content/store.ts';
import { alreadyExists, failedPrecondition, invalidArgument, isKind, outOfRange } from '../errors/error.ts';
import {
  WriteAction,
  type WriteContentRequest,
  type WriteContentResponseSchema,
} from '../gen/containerd/services/content/v1/content_pb.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import { toSafeNumber } from './descriptor-wire.ts';
import { toTimestamp } from './wire.ts';

type Request = WriteContentRequest;
type Response = MessageInitShape<typeof WriteContentResponseSchema>;

/** What the messages so far have said about the whole. */
interface Expectation {
  readonly total: bigint;
  readonly expected: Digest | undefined;
}

/**
 * Content.Write: one answer a message, until COMMIT or the client is done. The first message names the ref, which is
 * locked for the length of the stream; whatever was not committed stays for a resume.
 */
export async function* writeContent(
  store: ContentStore,
  requests: AsyncIterable<Request>,
  ctx: Context,
): AsyncIterable<Response> {
  await using stack = new AsyncDisposableStack();
  let writer: ContentWriter | undefined;
  let expectation: Expectation = { total: 0n, expected: undefined };
  for await (const request of requests) {
    const first = writer === undefined;
    expectation = update(expectation, request);
    writer ??= stack.use(await open(store, request, expectation, ctx));
    if (!first && request.expected !== '') await refuseExisting(store, writer, request, ctx);
    yield await answer(writer, request, expectation);
    if (request.action === WriteAction.COMMIT) return;
  }
}

function update(before: Expectation, { total, expected }: Request): Expectation {
  return {
    total: total > 0n ? total : before.total,
    expected: expected === '' ? before.expected : parseDigest(expected),
  };
}

function open(store: ContentStore, { ref }: Request, { total, expected }: Expectation, ctx: Context) {
  if (ref === '') throw invalidArgument('first message must have a reference');
  return store.writer(ctx, { ref, total: toSafeNumber(total, 'total'), expected });
}

/** The blob came by another way while this stream was open: its ingest is dropped. */
async function refuseExisting(
  store: ContentStore,
  writer: ContentWriter,
  { expected }: Request,
  ctx: Context,
) {
  const { ref } = writer.status;
  try {
    await store.info(ctx, parseDigest(expected));
  } catch (error) {
    if (isKind(error, 'not_found')) return;
    throw error;
  }
  await writer[Symbol.asyncDispose]();
  await store.abort(ctx, ref);
  throw alreadyExists(`blob with expected digest ${expected} exists`);
}

async function answer(writer: ContentWriter, request: Request, expectation: Expectation): Promise<Response> {
  if (request.action === WriteAction.STAT) return statusOf(writer, request, expectation);
  if (request.action !== WriteAction.WRITE && request.action !== WriteAction.COMMIT) {
    return { action: request.action, offset: BigInt(writer.status.offset) };
  }
  await write(writer, request);
  const offset = BigInt(writer.status.offset);
  if (request.action === WriteAction.WRITE)
    return { action: request.action, offset, digest: await writer.digest() };
  const digest = await writer.commit({
    sizeBytes: committedSize(writer, expectation),
    expected: expectation.expected,
    labels: request.labels,
  });
  return { action: request.action, offset, digest };
}

/** @throws failed_precondition: no ingest is as long as what is no safe integer */
function committedSize({ status: { ref, offset } }: ContentWriter, { total }: Expectation): number {
  if (total > BigInt(Number.MAX_SAFE_INTEGER))
    throw failedPrecondition(`${JSON.stringify(ref)} failed size validation: ${offset} != ${total}`);
  return Number(total);
}

async function statusOf(
  writer: ContentWriter,
  { action }: Request,
  { total }: Expectation,
): Promise<Response> {
  const { offset, startedAt, updatedAt } = writer.status;
  return {
    action,
    offset: BigInt(offset),
    total,
    digest: await writer.digest(),
    startedAt: toTimestamp(startedAt),
    updatedAt: toTimestamp(updatedAt),
  };
}

/** Offset 0 starts again; any other must be where the ingest is. */
async function write(writer: ContentWriter, request: Request): Promise<void> {
  const { offset: at } = request;
  const { offset } = writer.status;
  if (at < 0n) throw invalidArgument(`offset ${at} is negative`);
  if (at > 0n && at !== BigInt(offset))
    throw outOfRange(`write @${at} must occur at current offset ${offset}`);
  if (at === 0n && offset > 0) await writer.truncate(0);
  if (request.data.length > 0) await writer.write(request.data);
}

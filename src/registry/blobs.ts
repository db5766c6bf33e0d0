import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../async/context.ts';
import { failedPrecondition, isKind, unavailable } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { bodyOf, expectBody, strongEtag, withoutFirst } from './blob-body.ts';
import type { HttpResponse } from './connections.ts';
import { openForeign } from './foreign.ts';
import type { RegistryHost } from './host.ts';
import { pauseAfter, type RetryPolicy } from './retry.ts';
import type { HostCall, RegistrySession } from './session.ts';

/**
 * Streams a blob from `offset` (bytes that are already here) to exactly the descriptor's size, going on by Range where a
 * connection broke. The bytes are not verified here: the content store does that as they are written.
 * @throws not_found, unauthenticated, permission_denied, unavailable, failed_precondition (another size than described)
 */
export async function* fetchBlob(
  ctx: Context,
  session: RegistrySession,
  descriptor: Descriptor,
  offset = 0,
): AsyncGenerator<Uint8Array> {
  const state: Download = { offset, etag: undefined };
  for (let failures = 0; state.offset < descriptor.size; ) {
    const before = state.offset;
    const response = await open(ctx, session, descriptor, state);
    try {
      yield* read(response, descriptor, state);
    } catch (error) {
      ctx.signal.throwIfAborted();
      failures = state.offset > before ? 1 : failures + 1;
      await pauseOrThrow(ctx, session, failures, error);
    }
  }
}

/** Waits before the connection is made again. @throws `error` when it is not a broken connection, or once too often */
async function pauseOrThrow(
  ctx: Context,
  { retry }: RegistrySession,
  failures: number,
  error: unknown,
): Promise<void> {
  const pauseMs = pauseAfter(retry, failures);
  if (!isKind(error, 'unavailable') || failures >= retry.attempts || pauseMs === undefined) throw error;
  await sleep(pauseMs, undefined, { signal: ctx.signal });
}

interface Download {
  /** Bytes handed out so far, those that were here before counted. */
  offset: number;
  /** Strong validator of the first answer, so that a resumed body is the same body (RFC 9110 §13.1.5). */
  etag: string | undefined;
}

/** One connection's worth: ends at the size, throws `unavailable` when the body ends before. */
async function* read(
  response: HttpResponse,
  descriptor: Descriptor,
  state: Download,
): AsyncGenerator<Uint8Array> {
  const { chunks, skip } = bodyOf(response, descriptor, state.offset);
  state.etag ??= strongEtag(response);
  for await (const chunk of withoutFirst(chunks, skip, response)) {
    if (state.offset + chunk.byteLength > descriptor.size)
      throw failedPrecondition(
        `blob ${descriptor.digest}: more than the ${descriptor.size} bytes it is described with`,
      );
    state.offset += chunk.byteLength;
    yield chunk;
  }
  if (state.offset < descriptor.size)
    throw unavailable(`blob ${descriptor.digest}: ended after ${state.offset} of ${descriptor.size} bytes`);
}

async function open(
  ctx: Context,
  session: RegistrySession,
  descriptor: Descriptor,
  state: Download,
): Promise<HttpResponse> {
  const call: HostCall = {
    method: 'GET',
    path: `/blobs/${descriptor.digest}`,
    headers: rangeHeaders(state),
    what: `blob ${descriptor.digest}`,
  };
  try {
    return await session.onHosts(ctx, 'pull', (host, retry) => openAt(ctx, session, host, call, retry));
  } catch (error) {
    if (!isKind(error, 'not_found') || descriptor.urls === undefined) throw error;
    return openForeign(ctx, session, descriptor.urls, call, error);
  }
}

function rangeHeaders({ offset, etag }: Download): Record<string, string> {
  if (offset === 0) return {};
  return { range: `bytes=${offset}-`, ...(etag !== undefined && { 'if-range': etag }) };
}

async function openAt(
  ctx: Context,
  session: RegistrySession,
  host: RegistryHost,
  call: HostCall,
  retry: RetryPolicy,
): Promise<HttpResponse> {
  return expectBody(await session.send(ctx, host, call, retry), call.what);
}

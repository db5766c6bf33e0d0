import { pipeline } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';
import type { Context } from '../async/context.ts';
import {
  failedPrecondition,
  isKind,
  messageOf,
  notFound,
  permissionDenied,
  unavailable,
} from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { HttpResponse } from './connections.ts';
import { discard, printable, statusError } from './failure.ts';
import { defaultTls, type RegistryHost } from './host.ts';
import { defaultDialTimeoutMs } from './hosts.ts';
import { isForbidden } from './realm.ts';
import { sendFollowing } from './redirect.ts';
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

async function expectBody(response: HttpResponse, what: string): Promise<HttpResponse> {
  if (response.status === 200 || response.status === 206) return response;
  if (response.status !== 404) throw await statusError(response, what);
  discard(response);
  throw notFound(`${what}: not found`);
}

/** The descriptor's own addresses, always without credentials or configured headers (CVE-2020-15157). */
async function openForeign(
  ctx: Context,
  session: RegistrySession,
  urls: readonly string[],
  call: HostCall,
  notHere: unknown,
): Promise<HttpResponse> {
  let failure = notHere;
  for (const text of urls) {
    try {
      const url = foreignUrl(text, session.origin);
      const headers = { 'user-agent': 'berth', 'accept-encoding': 'identity', ...call.headers };
      const request = {
        method: 'GET',
        url,
        headers,
        tls: defaultTls,
        dialTimeoutMs: defaultDialTimeoutMs,
      } as const;
      return await expectBody(await sendFollowing(session.connections, ctx, request), call.what);
    } catch (error) {
      ctx.signal.throwIfAborted();
      failure = error;
    }
  }
  throw failure;
}

function foreignUrl(text: string, origin: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const plain = url !== undefined && url.username === '' && /^https?:$/.test(url.protocol);
  if (plain && !isForbidden(url, new URL(origin))) return url;
  throw permissionDenied(`layer address ${printable(text)} refused`);
}

/** Checks what the headers promise before a byte is taken. `skip`: bytes to drop because Range was ignored. */
function bodyOf(
  response: HttpResponse,
  { digest, size }: Descriptor,
  offset: number,
): { chunks: AsyncIterable<Uint8Array>; skip: number } {
  const { headers, body, status } = response;
  const encoding = headers['content-encoding'] ?? 'identity';
  const problem =
    status === 206 ? rangeProblem(headers, size, offset) : lengthProblem(headers, size, encoding);
  if (problem === undefined)
    return {
      chunks: encoding === 'gzip' ? inflated(body) : body,
      skip: status === 206 ? 0 : offset,
    };
  body.destroy();
  throw failedPrecondition(`blob ${digest}: ${problem}`);
}

/** A body that a proxy compressed for the way: what it carries is what the descriptor means. */
function inflated(body: HttpResponse['body']): AsyncIterable<Uint8Array> {
  return pipeline(body, createGunzip(), () => {}); // the reader sees the error
}

function rangeProblem(headers: HttpResponse['headers'], size: number, offset: number): string | undefined {
  if (headers['content-encoding'] !== undefined) return 'a range of an encoded body';
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers['content-range'] ?? '') ?? [];
  const fits = Number(start) === offset && (total === '*' || Number(total) === size);
  return fits
    ? undefined
    : `asked for bytes from ${offset} of ${size}, offered ${printable(headers['content-range'] ?? 'nothing')}`;
}

function lengthProblem(headers: HttpResponse['headers'], size: number, encoding: string): string | undefined {
  if (encoding === 'gzip') return undefined;
  if (encoding !== 'identity') return `unknown content encoding ${printable(encoding)}`;
  const length = headers['content-length'];
  return length === undefined || Number(length) === size
    ? undefined
    : `registry offers ${length} bytes, described with ${size}`;
}

function strongEtag({ headers }: HttpResponse): string | undefined {
  return headers.etag !== undefined && /^"[\x21\x23-\x7e]{1,256}"$/.test(headers.etag)
    ? headers.etag
    : undefined;
}

/** Drops the first `skip` bytes; a broken body is `unavailable`, so that the download goes on from where it is. */
async function* withoutFirst(
  chunks: AsyncIterable<Uint8Array>,
  skip: number,
  response: HttpResponse,
): AsyncGenerator<Uint8Array> {
  let left = skip;
  using _ = { [Symbol.dispose]: () => void (response.body.complete || response.body.destroy()) };
  try {
    for await (const chunk of chunks) {
      const dropped = Math.min(left, chunk.byteLength);
      left -= dropped;
      if (dropped < chunk.byteLength) yield chunk.subarray(dropped);
    }
  } catch (error) {
    throw unavailable(`connection to ${response.url.host} broke: ${messageOf(error)}`, error);
  }
}

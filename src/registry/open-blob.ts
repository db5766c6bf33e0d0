import type { Context } from '../async/context.ts';
import { failedPrecondition, isKind } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { expectBody, strongEtag } from './blob-body.ts';
import type { HttpResponse } from './exchange.ts';
import { discard, printable, statusError } from './failure.ts';
import { openForeign } from './foreign.ts';
import { noRetry } from './retry.ts';
import type { HostCall, RegistrySession } from './session.ts';

/** Part of a blob. Without `end` it goes to the blob's end. */
export interface Part {
  readonly offset: number;
  readonly end?: number | undefined;
  /** Strong validator of the first answer, so that every further body is of the same thing (RFC 9110 §13.1.5). */
  readonly etag: string | undefined;
  /** See {@link HostCall.large}. */
  readonly large?: boolean;
}

/** An answer that carries a part of a blob, or the whole where Range is ignored. @throws not_found, unavailable, … */
export async function openBlob(
  ctx: Context,
  session: RegistrySession,
  descriptor: Descriptor,
  part: Part,
): Promise<HttpResponse> {
  const call = callFor(descriptor, part);
  try {
    return await session.onHosts(ctx, 'pull', async (host, retry) =>
      expectBody(await session.send(ctx, host, call, retry), call.what),
    );
  } catch (error) {
    if (!isKind(error, 'not_found') || descriptor.urls === undefined) throw error;
    return openForeign(ctx, session, descriptor.urls, call, error);
  }
}

/**
 * All bytes of [offset, end) of a blob, for a download that goes on in some other way when this fails: it asks once.
 * @throws failed_precondition when the answer is anything but exactly that range, unavailable, …
 */
export async function readRange(
  ctx: Context,
  session: RegistrySession,
  descriptor: Descriptor,
  part: Part & { readonly end: number },
  on: { readonly accepted: () => void; readonly received: (bytes: number) => void },
): Promise<readonly Uint8Array[]> {
  const call = callFor(descriptor, part);
  const response = await session.onHosts(ctx, 'pull', (host) => session.send(ctx, host, call, noRetry));
  const refused = await refusal(response, descriptor, part);
  if (refused !== undefined) throw refused;
  on.accepted();
  const chunks: Uint8Array[] = [];
  let left = part.end - part.offset;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    on.received(chunk.byteLength);
    left -= chunk.byteLength;
    if (left < 0) break;
  }
  if (left === 0) return chunks;
  throw failedPrecondition(`${call.what}: a range of another length`);
}

async function refusal(
  response: HttpResponse,
  { digest, size }: Descriptor,
  { offset, end = size, etag }: Part,
): Promise<Error | undefined> {
  const what = `blob ${digest}`;
  if (response.status >= 300) return statusError(response, what);
  const { headers } = response;
  const range = headers['content-range'] ?? '';
  const fits = range === `bytes ${offset}-${end - 1}/${size}` || range === `bytes ${offset}-${end - 1}/*`;
  const same = etag === undefined || (strongEtag(response) ?? etag) === etag;
  if (response.status === 206 && fits && same && headers['content-encoding'] === undefined) return undefined;
  if (response.status === 206) discard(response);
  else response.body.destroy();
  return failedPrecondition(`${what}: asked for ${offset}-${end - 1}, offered ${printable(range) || 'all'}`);
}

function callFor({ digest }: Descriptor, part: Part): HostCall {
  const { large = false } = part;
  const [path, what] = [`/blobs/${digest}`, `blob ${digest}`];
  return { method: 'GET', path, headers: rangeHeaders(part), what, large };
}

function rangeHeaders({ offset, end, etag }: Part): Record<string, string> {
  if (offset === 0 && end === undefined) return {};
  const last = end === undefined ? '' : end - 1;
  return { range: `bytes=${offset}-${last}`, ...(etag !== undefined && { 'if-range': etag }) };
}

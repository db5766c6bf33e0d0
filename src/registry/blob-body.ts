import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { failedPrecondition, messageOf, notFound, unavailable } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { HttpResponse } from './exchange.ts';
import { discard, printable, statusError } from './failure.ts';

/** An answer that carries a blob or a part of it. @throws not_found, and what the status says */
export async function expectBody(response: HttpResponse, what: string): Promise<HttpResponse> {
  if (response.status === 200 || response.status === 206) return response;
  if (response.status !== 404) throw await statusError(response, what);
  discard(response);
  throw notFound(`${what}: not found`);
}

/** Checks what the headers promise before a byte is taken. `skip`: bytes to drop because Range was ignored. */
export function bodyOf(
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

/** An ETag that stands for the very same bytes. */
export function strongEtag({ headers }: HttpResponse): string | undefined {
  return headers.etag !== undefined && /^"[\x21\x23-\x7e]{1,256}"$/.test(headers.etag)
    ? headers.etag
    : undefined;
}

/** Drops the first `skip` bytes; a broken body is `unavailable`, so that the download goes on from where it is. */
export async function* withoutFirst(
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

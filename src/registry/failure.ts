import type { Readable } from 'node:stream';
import {
  type BerthError,
  codeOf,
  failedPrecondition,
  invalidArgument,
  messageOf,
  notFound,
  permissionDenied,
  resourceExhausted,
  unauthenticated,
  unavailable,
} from '../errors/error.ts';
import type { HttpResponse } from './exchange.ts';

/** Most of an error body that is read, in bytes. */
export const errorBodyLimitBytes = 64 * 1024;

const certificateCodes =
  /^(?:CERT_|ERR_TLS_CERT|UNABLE_TO_(?:VERIFY|GET_ISSUER)|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_MISMATCH|INVALID_CA)/;

/**
 * What a failed exchange means. A distrusted certificate is failed_precondition (another try changes nothing), a plain
 * HTTP answer where TLS was expected too, in Go's words because clients look for them; all else is unavailable.
 */
export function transportError(error: unknown, url: URL): BerthError {
  const code = codeOf(error) ?? '';
  if (certificateCodes.test(code))
    return failedPrecondition(`certificate of ${url.origin} is not trusted: ${messageOf(error)}`, error);
  if (
    code === 'ERR_SSL_WRONG_VERSION_NUMBER' ||
    /wrong version number|packet length too long/i.test(messageOf(error))
  )
    return failedPrecondition(`${url.origin}: http: server gave HTTP response to HTTPS client`, error);
  if (code === 'HPE_HEADER_OVERFLOW')
    return resourceExhausted(`${url.origin} sent headers above the limit`, error);
  return unavailable(`cannot reach ${url.origin}: ${transportMessage(error)}`, error);
}

/** An AggregateError (several addresses tried) has no message of its own. */
export function transportMessage(error: unknown): string {
  const inner = error instanceof AggregateError ? error.errors[0] : error;
  return messageOf(inner) || codeOf(error) || 'connection failed';
}

/** The error of a status that is not a success; reads at most {@link errorBodyLimitBytes} of its body. */
export async function statusError(response: HttpResponse, what: string): Promise<BerthError> {
  const note = response.note === undefined ? '' : `, ${response.note}`;
  const detail = detailOf(await readPrefix(response.body, errorBodyLimitBytes));
  return errorOf(
    response.status,
    `${what}: ${response.url.host} answered ${response.status}${detail}${note}`,
  );
}

function errorOf(status: number, message: string): BerthError {
  if (status === 404) return notFound(message);
  if (status === 401) return unauthenticated(message);
  if (status === 403) return permissionDenied(message);
  if (status === 416) return failedPrecondition(message);
  if (status === 429) return unavailable(message);
  return status >= 400 && status < 500 && status !== 408 ? invalidArgument(message) : unavailable(message);
}

/** First error of the distribution spec's error body, made safe to print: ` (CODE: message)`. */
function detailOf(body: Buffer): string {
  try {
    const { errors } = JSON.parse(body.toString('utf8')) as {
      errors?: { code?: unknown; message?: unknown }[];
    };
    const first = Array.isArray(errors) ? errors[0] : undefined;
    const words = [first?.code, first?.message].filter((word) => typeof word === 'string' && word !== '');
    return words.length === 0 ? '' : ` (${printable(words.join(': '))})`;
  } catch {
    return '';
  }
}

/** Text from outside, cut and without control characters. */
export const printable = (text: string): string => text.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 300);

/** Up to `limitBytes` of a body, whatever becomes of the rest; never throws. The connection is given up if more comes. */
async function readPrefix(body: Readable, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= limitBytes) break;
    }
  } catch {
    // A broken error body says less, but the status still counts.
  }
  return Buffer.concat(chunks).subarray(0, limitBytes);
}

/** Lets go of a body nobody wants: a short one is read so that the connection can be used again. */
export function discard(response: HttpResponse): void {
  const size = Number(response.headers['content-length'] ?? Number.POSITIVE_INFINITY);
  if (size <= errorBodyLimitBytes) response.body.resume();
  else response.body.destroy();
}

/** A whole body, refused above `limitBytes`. @throws resource_exhausted, unavailable */
export async function readBody(response: HttpResponse, limitBytes: number, what: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > limitBytes) break;
    }
  } catch (error) {
    throw unavailable(`${what}: connection to ${response.url.host} broke: ${messageOf(error)}`, error);
  }
  if (size > limitBytes) throw resourceExhausted(`${what}: larger than ${limitBytes} bytes`);
  return Buffer.concat(chunks);
}

import type { Context } from '../async/context.ts';
import { permissionDenied, resourceExhausted, unavailable } from '../errors/error.ts';
import type { Connections } from './connections.ts';
import type { HttpRequest, HttpResponse } from './exchange.ts';
import { discard, printable } from './failure.ts';
import { defaultTls } from './host.ts';
import { isForbidden } from './realm.ts';

/** Most hops of one request. */
export const redirectLimit = 10;

/** Headers that may go to another origin: what is asked for or sent, never who does. */
const portable = [
  'accept',
  'accept-encoding',
  'range',
  'if-range',
  'user-agent',
  'content-type',
  'content-length',
  'content-range',
] as const;

/**
 * Sends a request and follows redirects, those of a request with a body only where they keep it (307, 308). The first hop that changes scheme, host or port drops every header but
 * {@link portable} and the first host's TLS settings, for good; https never leads to http, and nothing outside leads
 * to loopback or link-local addresses. CVE-2020-15157, containerd PR 13894, undici CVE-2022-31151 and later.
 * @throws permission_denied (a hop that is refused), resource_exhausted (too many), unavailable
 */
export async function sendFollowing(
  connections: Connections,
  ctx: Context,
  first: HttpRequest,
): Promise<HttpResponse> {
  let request = first;
  for (let hops = 0; hops <= redirectLimit; hops++) {
    const response = await connections.send(request, ctx.signal);
    if (!isRedirect(response.status, request.method)) return response;
    discard(response);
    request = readdressed(request, targetOf(request.url, response.headers.location));
  }
  throw resourceExhausted(`${first.url.origin} redirects more than ${redirectLimit} times`);
}

const isRedirect = (status: number, method: string): boolean =>
  [307, 308].includes(status) || (['GET', 'HEAD'].includes(method) && [301, 302, 303].includes(status));

/** The same request to another address; to another origin it takes along only what is {@link portable}. */
export function readdressed(request: HttpRequest, url: URL): HttpRequest {
  if (url.origin === request.url.origin) return { ...request, url };
  const headers = Object.fromEntries(portable.flatMap((name) => pick(request.headers, name)));
  return { ...request, url, headers, tls: defaultTls };
}

function pick(headers: HttpRequest['headers'], name: string): [string, string][] {
  const value = headers[name];
  return typeof value === 'string' || typeof value === 'number' ? [[name, String(value)]] : [];
}

/** Where an answer of `from` sends us (a redirect, an upload's Location). @throws permission_denied, unavailable (nowhere) */
export function targetOf(from: URL, location: string | undefined): URL {
  if (location === undefined || !URL.canParse(location, from.href))
    throw unavailable(`${from.origin} redirects to no valid place`);
  const url = new URL(location, from);
  const reason = refusal(url, from);
  url.username = '';
  url.password = '';
  if (reason === undefined) return url;
  throw permissionDenied(`redirect from ${from.origin} to ${printable(url.origin)} refused: ${reason}`);
}

function refusal(url: URL, from: URL): string | undefined {
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'not an http scheme';
  if (from.protocol === 'https:' && url.protocol === 'http:') return 'https must not lead to http';
  return isForbidden(url, from) ? 'it leads to this machine or link' : undefined;
}

import type { HttpRequest, HttpResponse } from './exchange.ts';
import { printable } from './failure.ts';

/** Of a request only these: hosts.toml and clients put secrets into headers of any name. */
const told = /^(?:accept|accept-encoding|user-agent|range|if-range|content-(?:type|length|range))$/;
const secret = /^(?:set-cookie|location)$/;

/** A request and its answer as text for somebody who looks for a fault: without bodies, without what is secret. */
export function dumpOf({ method, url, headers }: HttpRequest, response: HttpResponse): string {
  const lines = [
    `> ${method} ${url.origin}${url.pathname}${queryOf(url)}`,
    ...headersOf('>', headers, (name) => !told.test(name)),
    `< ${response.status}`,
    ...headersOf('<', response.headers, (name) => secret.test(name)),
  ];
  return `${lines.join('\n')}\n\n`;
}

const plainParameters = new Set(['ns', 'from', 'mount', 'digest', 'artifactType', 'n', 'last']);

/** Signed addresses carry what lets anybody in: of their query only the names are told. */
function queryOf({ searchParams }: URL): string {
  const parts = [...searchParams].map(
    ([name, value]) => `${name}=${plainParameters.has(name) ? value : '…'}`,
  );
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

const headersOf = (
  sign: string,
  headers: HttpRequest['headers'],
  hides: (name: string) => boolean,
): string[] =>
  Object.entries(headers).map(
    ([name, value]) => `${sign} ${name}: ${hides(name) ? '(hidden)' : printable(String(value))}`,
  );

import type { IncomingHttpHeaders } from 'node:http2';
import { internal } from '../errors/error.ts';

/** HTTP status for what is no gRPC call at all; undefined for one that is. */
export function httpRefusal(headers: IncomingHttpHeaders): number | undefined {
  if (headers[':method'] !== 'POST') return 405;
  return /^application\/grpc(?:$|[+;])/.test(headers['content-type'] ?? '') ? undefined : 415;
}

const unitMs = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 } as const;

/** Milliseconds of a `grpc-timeout` header; undefined without one. @throws internal (malformed) in grpc-go's words */
export function parseTimeout(value: string | string[] | undefined): number | undefined {
  if (value === undefined) return undefined;
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(String(value)) ?? [];
  if (digits === undefined)
    throw internal(`malformed grpc-timeout: ${JSON.stringify(String(value).slice(0, 64))}`);
  return Number(digits) * unitMs[unit as keyof typeof unitMs];
}

/** `unknown service X` or `unknown method M for service X`, grpc-go's words; for a path that is no `/service/method`, that. */
export function unknownMethodMessage(path: string, knownServices: ReadonlySet<string>): string {
  const [, service, method] = /^\/([^/]+)\/([^/]+)$/.exec(path.slice(0, 512)) ?? [];
  if (service === undefined) return `malformed method name: ${JSON.stringify(path.slice(0, 512))}`;
  if (!knownServices.has(service)) return `unknown service ${service} (/${service}/${method})`;
  return `unknown method ${method} for service ${service} (/${service}/${method})`;
}

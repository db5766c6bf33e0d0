import type { Context } from '../async/context.ts';
import { permissionDenied } from '../errors/error.ts';
import { expectBody } from './blob-body.ts';
import type { HttpResponse } from './exchange.ts';
import { printable } from './failure.ts';
import { defaultTls } from './host.ts';
import { defaultDialTimeoutMs } from './hosts.ts';
import { isForbidden } from './realm.ts';
import { sendFollowing } from './redirect.ts';
import type { HostCall, RegistrySession } from './session.ts';

/** The descriptor's own addresses, always without credentials or configured headers (CVE-2020-15157). */
export async function openForeign(
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

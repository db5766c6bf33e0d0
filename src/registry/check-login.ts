import type { Context } from '../async/context.ts';
import { discard, statusError } from './failure.ts';
import { originOf } from './host.ts';
import type { RegistrySession } from './session.ts';

/**
 * Asks the registry itself whether it lets this session in (`GET /v2/`), as a login does before it is kept.
 * @throws unauthenticated (wrong or no credentials), permission_denied, unavailable, not_found (not a registry)
 */
export async function checkLogin(ctx: Context, session: RegistrySession): Promise<void> {
  const host = session.server;
  const what = `log in to ${session.reference.domain}`;
  const path = new URL(`${originOf(host)}${host.path}/`);
  const response = await session.send(ctx, host, { method: 'GET', path, headers: {}, what }, session.retry);
  if (response.status !== 200) throw await statusError(response, what);
  discard(response);
}

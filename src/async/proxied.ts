import { isKind, wrap } from '../errors/error.ts';
import { type Context, daemonContext, type Log } from './context.ts';
import { withDeadline } from './deadline.ts';

/** Another process that does the daemon's work: what it is called in errors, and how long it may take. */
export interface Proxied {
  /** `content store x`. */
  readonly name: string;
  readonly timeoutMs: number;
  readonly log: Log;
}

/**
 * One call to it, on the daemon's own behalf, that ends in time whatever it does.
 * @throws unavailable (out of time), what it says; both with its name
 */
export async function askProxied<T>(
  { name, timeoutMs, log }: Proxied,
  what: string,
  work: (ctx: Context) => Promise<T>,
): Promise<T> {
  const { signal } = new AbortController();
  const call = `${name}: ${what}`;
  try {
    return await withDeadline(signal, timeoutMs, call, (inner) => work(daemonContext(log, 'default', inner)));
  } catch (error) {
    throw wrap(error, call);
  }
}

/** As {@link askProxied}, undefined where it does not have what is asked for. */
export async function findProxied<T>(
  proxied: Proxied,
  what: string,
  work: (ctx: Context) => Promise<T>,
): Promise<T | undefined> {
  try {
    return await askProxied(proxied, what, work);
  } catch (error) {
    if (isKind(error, 'not_found')) return undefined;
    throw error;
  }
}

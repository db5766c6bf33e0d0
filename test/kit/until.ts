import { setTimeout as sleep } from 'node:timers/promises';

/** How many times slower than usual this machine may be: an emulated one is. */
export const slowness = Number(process.env.BERTH_TEST_SLOWNESS ?? 1);

/** How long a test waits for what will be: a minute, which passes only where it never is. */
export const patienceMs = 60_000 * slowness;

/** Asks every few milliseconds until it is so. `what`: told when it was in vain. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => string),
): Promise<void> {
  for (const endMs = Date.now() + patienceMs; Date.now() < endMs; await sleep(10)) if (await holds()) return;
  throw new Error(`waited in vain for ${typeof what === 'string' ? what : what()}`);
}

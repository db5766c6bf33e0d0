import { setTimeout as sleep } from 'node:timers/promises';
import { type BerthClient, isKind } from '../../src/client/index.ts';
import { violations } from '../kit/checker.ts';
import type { TestDaemon } from '../kit/daemon.ts';
import { leftovers } from '../kit/leftovers.ts';
import { patienceMs } from '../kit/until.ts';
import type { Journal } from './journal.ts';

/**
 * Brings a daemon to rest after its clients are gone: containers nobody was told of are removed (which must work, I8),
 * leases nobody was told of are deleted, garbage is collected twice.
 */
export async function bringToRest(clients: readonly BerthClient[], journal: Journal): Promise<string[]> {
  const found: string[] = [];
  for (const client of clients) {
    for (const { id } of await client.containers.list())
      if (!journal.runners.has(id)) found.push(...(await removeTwice(client, id)));
    for (const { id } of await client.leases.list()) {
      const known = journal.leases.get(`${client.namespace} ${id}`);
      if (known !== 'present') await client.leases.delete(id).catch(ignoreMissing);
    }
  }
  for (const client of clients) {
    const { id } = await client.leases.create();
    await client.leases.delete(id, { sync: true });
  }
  return found;
}

/** Removing is idempotent: not found the second time. */
async function removeTwice(client: BerthClient, id: string): Promise<string[]> {
  try {
    await client.containers.remove(id, { force: true }).catch(ignoreMissing);
  } catch (error) {
    return [`I8: container ${id} cannot be removed: ${String(error)}`];
  }
  const again = await client.containers.remove(id, { force: true }).then(
    () => 'nothing',
    (error: unknown) => (isKind(error, 'not_found') ? undefined : String(error)),
  );
  return again === undefined ? [] : [`I8: removing container ${id} again said ${again}`];
}

function ignoreMissing(error: unknown): void {
  if (!isKind(error, 'not_found')) throw error;
}

/** Everything a daemon at rest owes, waiting for what is still being tidied. */
export async function allViolations(daemon: TestDaemon, namespaces: readonly string[]): Promise<string[]> {
  const check = () => [
    ...violations(daemon.root, daemon.state),
    ...leftovers(daemon.root, daemon.state, namespaces),
  ];
  return settled(check);
}

/** Asks until nothing is found, at most {@link patienceMs}; then what was found last. */
export async function settled(check: () => string[] | Promise<string[]>): Promise<string[]> {
  const endMs = Date.now() + patienceMs;
  for (;;) {
    const found = await check();
    if (found.length === 0 || Date.now() > endMs) return found;
    await sleep(100);
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { type Context, daemonContext, type Log } from '../async/context.ts';
import { isKind, messageOf } from '../errors/error.ts';
import { envelopeFields } from '../events/envelope-fields.ts';
import type { Envelope } from '../events/events.ts';
import type { NamespaceStore } from '../metadata/namespace-store.ts';
import { containerLabels } from '../oci/label-names.ts';
import type { LocalContainers } from './local-containers.ts';
import type { ContainerParts } from './parts.ts';
import { isAlive } from './task-control.ts';

const stdioAgeMs = 3_600_000;
const sweepEveryMs = 600_000;
const maxAtOnce = 16;

export interface HousekeepingParts extends Pick<ContainerParts, 'containers' | 'tasks' | 'events'> {
  readonly namespaces: NamespaceStore;
  readonly verbs: LocalContainers;
  readonly log: Log;
  /** Nothing is removed before the process is this old. Default 3 s. */
  readonly comeBackMs?: number;
}

/**
 * Removes what an exit leaves behind, until `signal` fires: containers made with auto-remove, and FIFOs. Sweeps first,
 * for what happened while no daemon was looking. Never throws.
 */
export async function keepHouse(parts: HousekeepingParts, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const round = new AbortController();
    const limit = AbortSignal.any([signal, AbortSignal.timeout(sweepEveryMs), round.signal]);
    try {
      const exits = parts.events.subscribe(['topic=="/tasks/exit"'], limit);
      await sweep(parts, signal);
      await forEachLimited(exits, (exit) => handleExit(parts, exit, signal));
    } catch (error) {
      if (!limit.aborted) await complain(parts.log, error, signal);
    } finally {
      round.abort();
    }
  }
}

/** One container that dies hard must not hold up the others. */
async function forEachLimited<T>(items: AsyncIterable<T>, work: (item: T) => Promise<void>): Promise<void> {
  const running = new Set<Promise<void>>();
  for await (const item of items) {
    const one = work(item).finally(() => running.delete(one));
    running.add(one);
    if (running.size >= maxAtOnce) await Promise.race(running);
  }
  await Promise.all(running);
}

async function complain(log: Log, error: unknown, signal: AbortSignal): Promise<void> {
  log.warn({ error: messageOf(error) }, 'housekeeping of containers begins again');
  await sleep(1_000, undefined, { signal }).catch(() => {});
}

async function handleExit(parts: HousekeepingParts, exit: Envelope, signal: AbortSignal): Promise<void> {
  const field = envelopeFields(exit);
  const containerId = field(['event', 'container_id']) ?? '';
  const processId = field(['event', 'id']) ?? '';
  const execId = processId === containerId ? '' : processId;
  const ctx = daemonContext(parts.log, exit.namespace, signal);
  await parts.verbs.stdio
    .removeWhere(
      (o) => o.namespace === exit.namespace && o.containerId === containerId && o.execId === execId,
    )
    .catch((error) => parts.log.warn({ containerId, error: messageOf(error) }, 'fifos were not removed'));
  if (execId === '' && containerId !== '') await removeIfAsked(parts, ctx, containerId);
}

async function removeIfAsked(parts: HousekeepingParts, ctx: Context, id: string): Promise<void> {
  try {
    const { labels } = await parts.containers.get(ctx, id);
    if (labels[containerLabels.autoRemove] === undefined) return;
    // Clients of an earlier daemon come back to ask how their container ended: leave it that long.
    await sleep(Math.max(0, (parts.comeBackMs ?? 3_000) - performance.now()), undefined, {
      signal: ctx.signal,
    });
    await parts.verbs.remove(ctx, id);
  } catch (error) {
    if (!isKind(error, 'not_found') && !ctx.signal.aborted)
      parts.log.warn({ id, error: messageOf(error) }, 'container was not removed');
  }
}

async function sweep(parts: HousekeepingParts, signal: AbortSignal): Promise<void> {
  for (const { name } of await parts.namespaces.list(daemonContext(parts.log, '', signal))) {
    const ctx = daemonContext(parts.log, name, signal);
    const found = await parts.containers.list(ctx, [`labels."${containerLabels.autoRemove}"`]);
    for (const { id, createdAt } of found)
      if (await isLeftOver(parts, ctx, id, createdAt)) await removeIfAsked(parts, ctx, id);
  }
  await sweepStdio(parts, signal);
  await sweepLogs(parts, signal);
}

const processStartMs = Date.now() - performance.now();

/** Its task has exited; or it has none and a client of an earlier daemon made it. */
async function isLeftOver(
  { tasks }: HousekeepingParts,
  ctx: Context,
  id: string,
  createdAt: Date,
): Promise<boolean> {
  const task = await tasks.find(ctx, id);
  return task === undefined ? createdAt.getTime() < processStartMs : !isAlive(task);
}

async function sweepStdio({ verbs, tasks, log }: HousekeepingParts, signal: AbortSignal): Promise<void> {
  for (const old of verbs.stdio.ownersOlderThan(stdioAgeMs)) {
    const ctx = daemonContext(log, old.namespace, signal);
    const used = old.namespace !== '' && (await tasks.find(ctx, old.containerId)) !== undefined;
    if (!used) await verbs.stdio.removeWhere((owner, ageMs) => owner === old && ageMs >= stdioAgeMs);
  }
}

/** A create that was killed between its logs and its record leaves the directory. */
async function sweepLogs({ verbs, containers, log }: HousekeepingParts, signal: AbortSignal): Promise<void> {
  for (const { namespace, id } of await verbs.logPaths.unchangedSince(processStartMs)) {
    const ctx = daemonContext(log, namespace, signal);
    const [known] = await containers.list(ctx, [`id==${id}`]);
    if (known === undefined) await verbs.logPaths.remove(namespace, id);
  }
}

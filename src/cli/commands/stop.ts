import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { BerthClient, Container } from '../../client/index.ts';
import { isKind } from '../../errors/error.ts';
import { containerLabels } from '../../oci/label-names.ts';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { findTask, forEachContainer } from '../containers.ts';
import { parseSignal } from '../parse/signal.ts';
import { parseCount } from '../parse/size.ts';

interface Options {
  readonly time: string;
  readonly signal?: string;
}

export function define(command: Command): void {
  command
    .argument('<container...>', 'names or ids')
    .option('-t, --time <seconds>', 'how long to wait before it is killed, -1 for ever', '10')
    .option('-s, --signal <signal>', 'signal to send first');
  act<Options>(command, stop);
}

async function stop(cli: Cli, names: readonly string[], options: Options): Promise<void> {
  const client = await cli.client();
  const seconds = parseCount(options.time, 'time', -1);
  const chosen = options.signal === undefined ? undefined : parseSignal(options.signal);
  await forEachContainer(client, names, async (container, name) => {
    await stopOne(client, container, chosen ?? ownSignal(container), seconds * 1000);
    cli.print(`${name}\n`);
  });
}

const ownSignal = ({ labels }: Container): number =>
  parseSignal(labels[containerLabels.stopSignal] || 'SIGTERM');

/** A container that does not run is stopped already. */
async function stopOne(
  client: BerthClient,
  { id }: Container,
  signal: number,
  graceMs: number,
): Promise<void> {
  const task = await findTask(client, id);
  if (task === undefined || task.status === 'stopped') return;
  const target = client.tasks.process(id);
  const exit = goneIsFine(target.wait());
  await goneIsFine(target.kill(signal));
  if (task.status === 'paused') await client.tasks.resume(id);
  if (graceMs < 0) return exit;
  const patience = new AbortController();
  const late = sleep(graceMs, 'late' as const, { signal: patience.signal }).catch(() => undefined);
  if ((await Promise.race([exit, late])) === 'late') {
    await goneIsFine(target.kill(constants.signals.SIGKILL, { all: true }));
    await exit;
  }
  patience.abort();
}

/** The container may end, or be removed with its task, at any moment. */
async function goneIsFine(work: Promise<unknown>): Promise<undefined> {
  try {
    await work;
  } catch (error) {
    if (!isKind(error, 'not_found')) throw error;
  }
  return undefined;
}

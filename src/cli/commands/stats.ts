import { totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { BerthClient, Container } from '../../client/index.ts';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { findContainer } from '../containers.ts';
import { formatRows } from '../output/print.ts';
import { type StatsRow, StatsView } from '../stats-rows.ts';

interface Options {
  readonly stream: boolean;
}

const intervalMs = 1_000;
const column = (head: string, show: (row: StatsRow) => string) => ({ head, show });
const columns = [
  column('CONTAINER ID', (row) => row.ID),
  column('NAME', (row) => row.Name),
  column('CPU %', (row) => row.CPUPerc),
  column('MEM USAGE / LIMIT', (row) => row.MemUsage),
  column('MEM %', (row) => row.MemPerc),
  column('BLOCK I/O', (row) => row.BlockIO),
  column('PIDS', (row) => String(row.PIDs)),
];

export function define(command: Command): void {
  command
    .argument('[container...]', 'names or ids; default: all that run')
    .option('--no-stream', 'show one look and end', true);
  act<Options>(command, stats);
}

/** The share of CPU needs two looks; a terminal is drawn over, a pipe gets table after table. */
async function stats(cli: Cli, names: readonly string[], { stream }: Options): Promise<void> {
  const client = await cli.client();
  const view = new StatsView(totalmem());
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const live = stream && cli.stdout.isTTY === true;
  await view.look(client, await chosen(client, names));
  while (!stop.signal.aborted) {
    await sleep(intervalMs, undefined, { signal: stop.signal }).catch(() => {});
    if (stop.signal.aborted) return;
    const rows = await view.look(client, await chosen(client, names));
    const text = await formatRows(cli.globals, columns, rows);
    cli.print(live ? `\x1b[H\x1b[2J${text}` : text);
    if (!stream) return;
  }
}

/** Looked up again each time: containers come and go. */
async function chosen(client: BerthClient, names: readonly string[]): Promise<Container[]> {
  if (names.length > 0) return Promise.all(names.map((name) => findContainer(client, name)));
  const [containers, tasks] = await Promise.all([client.containers.list(), client.tasks.list()]);
  const running = new Set(
    tasks.filter(({ status }) => status !== 'stopped').map(({ containerId }) => containerId),
  );
  return containers.filter(({ id }) => running.has(id));
}

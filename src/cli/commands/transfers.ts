import type { Command } from 'commander';
import type { TransferProgress, TransferState } from '../../client/index.ts';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { CliError } from '../failure.ts';
import { type Column, formatRows, toJsonText, wantsJson } from '../output/print.ts';
import { ago, humanDuration, humanSize } from '../output/text.ts';
import { summaryOf } from '../transfer-summary.ts';

interface Options {
  readonly all?: true;
}

export function define(command: Command): void {
  command
    .argument('[action]', 'ls, watch or cancel', 'ls')
    .argument('[id]', 'of the transfer, as ls shows it')
    .option('-a, --all', 'of all namespaces');
  act<Options>(command, transfers);
}

async function transfers(cli: Cli, [action = 'ls', id]: readonly string[], options: Options): Promise<void> {
  const allNamespaces = options.all === true;
  if (action === 'ls' || action === 'list') return list(cli, allNamespaces);
  if (action === 'watch') return watch(cli, id, allNamespaces);
  if (action !== 'cancel')
    throw new CliError(`unknown action ${JSON.stringify(action)}`, {
      exitCode: 2,
      hint: 'ls, watch or cancel',
    });
  if (id === undefined)
    throw new CliError('transfers cancel needs an id', { exitCode: 2, hint: 'berth transfers' });
  await (await cli.client()).transfers.cancel(id);
  cli.print(`${id}\n`);
}

const rowOf = (state: TransferState) => ({
  ID: state.id,
  Namespace: state.namespace,
  Name: state.name,
  Done: state.doneBytes,
  Total: state.totalBytes,
  BytesPerSecond: Math.round(state.bytesPerSecond),
  EtaSeconds: state.etaMs === undefined ? null : Math.round(state.etaMs / 1000),
  StartedAt: state.startedAt.toISOString(),
});
type Row = ReturnType<typeof rowOf>;

const columns: readonly Column<Row>[] = [
  { head: 'ID', show: (row) => row.ID },
  { head: 'NAME', show: (row) => row.Name },
  { head: 'STARTED', show: (row) => ago(new Date(row.StartedAt)) },
  { head: 'DONE', show: (row) => `${humanSize(row.Done)} of ${humanSize(row.Total)}` },
  { head: 'SPEED', show: (row) => `${humanSize(row.BytesPerSecond)}/s` },
  { head: 'LEFT', show: (row) => (row.EtaSeconds === null ? '' : humanDuration(row.EtaSeconds * 1000)) },
];

async function list(cli: Cli, allNamespaces: boolean): Promise<void> {
  const found = await (await cli.client()).transfers.list({ allNamespaces });
  const namespace = { head: 'NAMESPACE', show: (row: Row) => row.Namespace };
  const shown = allNamespaces ? [namespace, ...columns] : columns;
  cli.print(await formatRows(cli.globals, shown, found.map(rowOf)));
}

/** The objects of one transfer until it ends, or all transfers, a line each. */
async function watch(cli: Cli, id: string | undefined, allNamespaces: boolean): Promise<void> {
  const client = await cli.client();
  const states = client.transfers.watch({ allNamespaces, ...(id !== undefined && { id }) });
  if (wantsJson(cli.globals)) {
    for await (const state of states) cli.print(`${toJsonText(state)}\n`);
    return;
  }
  const { showTransfer } = await import('../progress.ts');
  await showTransfer(cli, stepsOf(states, id !== undefined, cli.stdout.isTTY), cli.stdout);
}

async function* stepsOf(
  states: AsyncIterable<TransferState>,
  objects: boolean,
  tty: boolean,
): AsyncGenerator<TransferProgress> {
  for await (const state of states) {
    // Lines that stay would be one for each change of speed.
    if (tty || state.status !== 'running') yield summaryOf(state);
    if (!objects) continue;
    for (const { name, phase, doneBytes, totalBytes } of state.objects)
      yield { name, event: phase, parents: [], doneBytes, totalBytes };
  }
}

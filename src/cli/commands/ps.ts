import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { act, collect } from '../command.ts';

interface Options {
  readonly all?: true;
  readonly quiet?: true;
  readonly trunc: boolean;
  readonly filter?: readonly string[];
  readonly last?: string;
  readonly latest?: true;
}

export function define(command: Command): void {
  command
    .option('-a, --all', 'also those that do not run')
    .option('-q, --quiet', 'ids only')
    .option('--no-trunc', 'do not cut ids and commands', true)
    .option('-f, --filter <key=value>', 'id, name, label, status, ancestor or exited', collect)
    .option('--last <number>', 'the newest containers, running or not')
    .option('-l, --latest', 'the newest container, running or not');
  act<Options>(command, ps);
}

async function ps(cli: Cli, _args: readonly string[], options: Options): Promise<void> {
  const { listContainers } = await import('../container-rows.ts');
  const { formatRows } = await import('../output/print.ts');
  const { parseCount } = await import('../parse/size.ts');
  const last =
    options.latest === true
      ? 1
      : options.last === undefined
        ? undefined
        : parseCount(options.last, 'number', 1);
  const rows = await listContainers(await cli.client(), {
    all: options.all === true || last !== undefined,
    trunc: options.trunc,
    filters: options.filter ?? [],
    last,
  });
  if (options.quiet === true) return cli.print(rows.map(({ ID }) => `${ID}\n`).join(''));
  const columns = [
    { head: 'CONTAINER ID', show: (row: (typeof rows)[number]) => row.ID },
    { head: 'IMAGE', show: (row: (typeof rows)[number]) => row.Image },
    { head: 'COMMAND', show: (row: (typeof rows)[number]) => row.Command },
    { head: 'CREATED', show: (row: (typeof rows)[number]) => row.RunningFor },
    { head: 'STATUS', show: (row: (typeof rows)[number]) => row.Status },
    { head: 'NAMES', show: (row: (typeof rows)[number]) => row.Names },
  ];
  cli.print(await formatRows(cli.globals, columns, rows));
}

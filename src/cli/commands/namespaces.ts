import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { CliError } from '../failure.ts';
import { formatRows } from '../output/print.ts';
import { parseLabels } from '../parse/env.ts';

export function define(command: Command): void {
  command
    .argument('[action]', 'ls, create, label or rm', 'ls')
    .argument('[name]', 'of the namespace')
    .argument('[labels...]', 'KEY=VALUE; KEY= removes')
    .option('-q, --quiet', 'names only');
  act<{ readonly quiet?: true }>(command, namespaces);
}

async function namespaces(
  cli: Cli,
  [action = 'ls', name, ...labels]: readonly string[],
  options: { readonly quiet?: true },
): Promise<void> {
  if (action === 'ls' || action === 'list') return list(cli, options.quiet === true);
  const change = changes[action];
  if (change === undefined) {
    throw new CliError(`unknown action ${JSON.stringify(action)}`, {
      exitCode: 2,
      hint: 'ls, create, label or rm',
    });
  }
  if (name === undefined) throw new CliError(`namespaces ${action} needs a name`, { exitCode: 2 });
  await change(cli, name, parseLabels(labels));
  cli.print(`${name}\n`);
}

type Change = (cli: Cli, name: string, labels: Record<string, string>) => Promise<unknown>;

const changes: Readonly<Record<string, Change>> = {
  create: async (cli, name, labels) => (await cli.client()).namespaces.create(name, labels),
  label: async (cli, name, labels) => (await cli.client()).namespaces.label(name, labels),
  rm: async (cli, name) => (await cli.client()).namespaces.delete(name),
};

async function list(cli: Cli, quiet: boolean): Promise<void> {
  const found = await (await cli.client()).namespaces.list();
  const rows = found.map(({ name, labels }) => ({ Name: name, Labels: labels }));
  if (quiet) return cli.print(rows.map(({ Name }) => `${Name}\n`).join(''));
  const columns = [
    { head: 'NAME', show: (row: (typeof rows)[number]) => row.Name },
    {
      head: 'LABELS',
      show: (row: (typeof rows)[number]) =>
        Object.entries(row.Labels)
          .map(([key, value]) => `${key}=${value}`)
          .join(','),
    },
  ];
  cli.print(await formatRows(cli.globals, columns, rows));
}

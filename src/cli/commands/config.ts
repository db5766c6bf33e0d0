import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { CliError } from '../failure.ts';
import { formatObject } from '../output/print.ts';

interface Options {
  readonly dryRun?: true;
}

export function define(command: Command): void {
  command
    .argument('[action]', 'show or reload', 'show')
    .option('--dry-run', 'with reload: only say what would change');
  act<Options>(command, config);
}

async function config(cli: Cli, [action = 'show']: readonly string[], options: Options): Promise<void> {
  if (action === 'show') return show(cli);
  if (action === 'reload') return reload(cli, options.dryRun === true);
  throw new CliError(`unknown action ${JSON.stringify(action)}`, { exitCode: 2, hint: 'show or reload' });
}

async function show(cli: Cli): Promise<void> {
  cli.print(await (await cli.client()).configuration.get());
}

async function reload(cli: Cli, dryRun: boolean): Promise<void> {
  const result = await (await cli.client()).configuration.reload({ dryRun });
  const object = formatObject(cli.globals, result);
  if (object !== undefined) return cli.print(object);
  for (const warning of result.warnings) cli.print(`no meaning here, ignored: ${warning}\n`);
  for (const { key, before, after, needsRestart } of result.changes)
    cli.print(`${key}: ${before} → ${after}${needsRestart ? ' (needs a restart)' : ''}\n`);
  if (result.changes.length === 0) cli.print('nothing changed\n');
}

import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import type { Pruned, PrunedItem, PruneRequest } from '../../client/index.ts';
import type { Cli } from '../cli.ts';
import { act, collect } from '../command.ts';
import { CliError } from '../failure.ts';
import { type Column, formatRows, toJsonText, wantsJson } from '../output/print.ts';
import { humanSize } from '../output/text.ts';
import { parseFilters } from '../parse/filter.ts';
import { parseMoment } from '../parse/time.ts';
import { shortName } from '../resources.ts';

interface Options {
  readonly all?: true;
  readonly containers?: true;
  readonly force?: true;
  readonly dryRun?: true;
  readonly filter?: readonly string[];
}

export function define(command: Command): void {
  command
    .option('-a, --all', 'every image that no container uses, not only those without a tag')
    .option('--containers', 'containers that do not run, too')
    .option('-f, --force', 'do not ask')
    .option('--dry-run', 'only show what would go')
    .option('--filter <key=value>', 'until (24h, a date), label or label! (key or key=value)', collect);
  act<Options>(command, prune);
}

/** Shows first what would go; then, if the user agrees, removes exactly that. */
async function prune(cli: Cli, _args: readonly string[], options: Options): Promise<void> {
  const { storage } = await cli.client();
  const request = requestOf(options);
  const found = await storage.prune({ ...request, dryRun: true });
  if (options.dryRun === true || found.items.length === 0) return show(cli, found, 'would free');
  if (options.force !== true) {
    await show(cli, found, 'would free');
    if (!(await agrees(cli))) return;
  }
  const only = found.items.map(({ resource }) => resource);
  const pruned = await storage.prune({ ...request, only });
  await show(cli, { ...pruned, freedBytes: found.freedBytes }, 'freed');
  const failed = pruned.items.find(({ error }) => error !== undefined);
  if (failed)
    throw new CliError(`${failed.resource.kind} ${failed.resource.id} was not removed: ${failed.error}`);
}

function requestOf({ all, containers, filter = [] }: Options): PruneRequest {
  const filters = parseFilters(filter, ['until', 'label', 'label!']);
  const [until] = filters.get('until') ?? [];
  return {
    all: all ?? false,
    containers: containers ?? false,
    labels: filters.get('label') ?? [],
    withoutLabels: filters.get('label!') ?? [],
    ...(until === undefined ? {} : { until: parseMoment(until) }),
  };
}

async function show(cli: Cli, { items, freedBytes }: Pruned, verb: string): Promise<void> {
  if (wantsJson(cli.globals)) return cli.print(`${toJsonText({ items, freedBytes })}\n`);
  if (items.length > 0) cli.print(await formatRows({ ...cli.globals, format: undefined }, columns, items));
  cli.print(`${verb} ${humanSize(freedBytes)}\n`);
}

const columns: readonly Column<PrunedItem>[] = [
  { head: 'TYPE', show: ({ resource }) => resource.kind },
  { head: 'NAME', show: ({ resource }) => shortName(resource.id) },
  { head: 'UNIQUE', show: ({ bytes }) => humanSize(bytes) },
];

async function agrees(cli: Cli): Promise<boolean> {
  if (!cli.stdin.isTTY)
    throw new CliError('nothing was removed', { hint: 'agree with -f, or run it on a terminal' });
  using asking = readline(cli);
  return /^y(es)?$/i.test((await asking.question('Remove these? [y/N] ')).trim());
}

function readline(cli: Cli) {
  const asking = createInterface({ input: cli.stdin, output: cli.stderr });
  return Object.assign(asking, { [Symbol.dispose]: () => asking.close() });
}

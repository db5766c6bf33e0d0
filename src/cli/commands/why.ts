import type { Command } from 'commander';
import type { WhySubject } from '../../client/index.ts';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { toJsonText, wantsJson } from '../output/print.ts';
import { humanSize, printable } from '../output/text.ts';
import { titleOf } from '../resources.ts';

interface Options {
  readonly trunc: boolean;
}

export function define(command: Command): void {
  command
    .argument('<target>', 'a digest, snapshot, image, container or lease; ids may be cut short')
    .option('--no-trunc', 'do not cut digests', true);
  act<Options>(command, why);
}

async function why(cli: Cli, [target = '']: readonly string[], { trunc }: Options): Promise<void> {
  const subjects = await (await cli.client()).storage.why(target);
  if (wantsJson(cli.globals))
    return cli.print(subjects.map((subject) => `${toJsonText(subject)}\n`).join(''));
  const { namespace } = cli.globals;
  cli.print(subjects.map((subject) => words(subject, namespace, !trunc)).join('\n'));
}

/** The subject, then each path from its root down. */
function words({ resource, bytes, paths, truncated }: WhySubject, namespace: string, full: boolean): string {
  const elsewhere = resource.namespace === namespace ? '' : ` in namespace ${resource.namespace}`;
  const lines = [`${titleOf(resource, full)}${elsewhere} (${humanSize(bytes)})`];
  if (paths.length === 0) lines.push('  nothing keeps it: the next collection takes it');
  for (const path of paths)
    for (const [depth, { resource: step, because }] of path.entries())
      lines.push(`  ${'  '.repeat(depth)}${depth === 0 ? '' : '└ '}${titleOf(step, full)}  [${because}]`);
  if (truncated) lines.push('  … and more');
  return lines.map((line) => `${printable(line)}\n`).join('');
}

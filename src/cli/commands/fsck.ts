import type { Command } from 'commander';
import type { Finding } from '../../client/index.ts';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { toJsonText, wantsJson } from '../output/print.ts';
import { humanSize, printable } from '../output/text.ts';
import { titleOf } from '../resources.ts';

interface Options {
  readonly repair?: true;
  readonly quick?: true;
}

export function define(command: Command): void {
  command
    .option('--repair', 'fetch bad content again, remove what no record knows')
    .option('--quick', 'do not hash content')
    .addHelpText(
      'after',
      '\nExit status: 0 nothing wrong, 1 all repaired, 4 something is left wrong, as with fsck(8).',
    );
  act<Options>(command, fsck);
}

/** As fsck(8): 1 when everything was put right, 4 when not. */
async function fsck(cli: Cli, _args: readonly string[], { repair, quick }: Options): Promise<number> {
  const { storage } = await cli.client();
  const findings: Finding[] = [];
  let checkedBytes = 0;
  const request = { repair: repair ?? false, quick: quick ?? false };
  for await (const { finding, doneBytes, totalBytes } of storage.check(request)) {
    checkedBytes = doneBytes;
    if (finding) {
      findings.push(finding);
      cli.print(wantsJson(cli.globals) ? `${toJsonText(finding)}\n` : words(finding));
    }
    if (cli.stderr.isTTY) cli.stderr.write(`\r${humanSize(doneBytes)} of ${humanSize(totalBytes)}\x1b[K`);
  }
  if (cli.stderr.isTTY) cli.stderr.write('\r\x1b[K');
  const left = findings.filter(({ repaired }) => !repaired).length;
  if (!wantsJson(cli.globals))
    cli.print(
      `${findings.length} found, ${findings.length - left} repaired; ${humanSize(checkedBytes)} of content hashed\n`,
    );
  if (left > 0) return 4;
  return findings.length > 0 ? 1 : 0;
}

function words({ kind, resource, message, repaired, error }: Finding): string {
  const what = resource === undefined ? '' : `${titleOf(resource, true)} (${resource.namespace}): `;
  const outcome = repaired ? ' [repaired]' : error === undefined ? '' : ` [not repaired: ${error}]`;
  return `${printable(`${kind}: ${what}${message}${outcome}`)}\n`;
}

import { createReadStream } from 'node:fs';
import type { Command } from 'commander';
import type { LoadOptions } from '../../client/index.ts';
import { act } from '../command.ts';
import { CliError } from '../failure.ts';
import { formatObject } from '../output/print.ts';
import { Lines } from '../progress.ts';

interface Options {
  readonly input?: string;
  readonly baseName?: string;
  readonly platform?: string;
  readonly snapshotter?: string;
  readonly unpack: boolean;
  readonly quiet?: true;
}

export function define(command: Command): void {
  command
    .option('-i, --input <file>', 'read from a file, not from standard input')
    .option('--base-name <name>', 'put before names that are only a tag')
    .option('--platform <os/arch>', "platform to take; default: this machine's")
    .option('--snapshotter <name>', 'snapshotter to unpack with')
    .option('--no-unpack', 'do not unpack')
    .option('-q, --quiet', 'print only the names');
  act<Options>(command, async (cli, _names, options) => {
    if (options.input === undefined && cli.stdin.isTTY)
      throw new CliError('an archive is not read from a terminal', {
        hint: 'name a file with -i, or redirect the input',
      });
    const client = await cli.client();
    const archive =
      options.input === undefined ? cli.stdin : createReadStream(options.input, { highWaterMark: 1 << 20 });
    const lines = new Lines(cli.stderr);
    const images = await client.images.load(archive, {
      ...(await loadOptions(options)),
      ...(options.quiet !== true && { onProgress: (step) => lines.show(step) }),
    });
    for (const { name, target } of images)
      cli.print(formatObject(cli.globals, { Name: name, Digest: target.digest }) ?? `${name}\n`);
  });
}

async function loadOptions({ baseName, platform, snapshotter, unpack }: Options): Promise<LoadOptions> {
  const { parsePlatform } = await import('../../oci/platform.ts');
  return {
    ...(baseName !== undefined && { baseName }),
    ...(platform !== undefined && { platforms: [parsePlatform(platform)] }),
    ...(unpack ? snapshotter !== undefined && { snapshotter } : { snapshotter: false as const }),
  };
}

import type { Command } from 'commander';
import { act } from '../command.ts';
import { formatObject } from '../output/print.ts';
import { pullImage } from '../pull-image.ts';
import { addRegistryOptions, type RegistryOptions } from '../registry-access.ts';

interface Options extends RegistryOptions {
  readonly quiet?: true;
  readonly platform?: string;
  readonly snapshotter?: string;
}

export function define(command: Command): void {
  command
    .argument('<image>', 'name of the image, e.g. redis:7')
    .option('-q, --quiet', 'print only the name')
    .option('--platform <os/arch>', "platform to fetch; default: this machine's")
    .option('--snapshotter <name>', 'snapshotter to unpack with');
  addRegistryOptions(command);
  act<Options>(command, async (cli, [name = ''], options) => {
    const { json, format } = cli.globals;
    const quiet = options.quiet === true || json || format !== undefined;
    const image = await pullImage(cli, name, { ...options, quiet, output: cli.stdout });
    const shown = { Name: image.name, Digest: image.target.digest, MediaType: image.target.mediaType };
    cli.print(formatObject(cli.globals, shown) ?? `${image.name}\n`);
  });
}

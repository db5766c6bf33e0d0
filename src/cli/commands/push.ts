import type { Command } from 'commander';
import { act, collect } from '../command.ts';
import { formatObject } from '../output/print.ts';
import {
  addRegistryOptions,
  interruptible,
  type RegistryOptions,
  registryAccess,
} from '../registry-access.ts';

interface Options extends RegistryOptions {
  readonly quiet?: true;
  readonly platform?: readonly string[];
}

export function define(command: Command): void {
  command
    .argument('<image>', 'name of the image')
    .argument('[name]', 'reference to push it as; default: its own name')
    .option('-q, --quiet', 'print only the digest')
    .option('--platform <os/arch>', 'platform to push, may be repeated; default: all that are here', collect);
  addRegistryOptions(command);
  act<Options>(command, async (cli, [image = '', name = image], options) => {
    const { json, format } = cli.globals;
    const quiet = options.quiet === true || json || format !== undefined;
    const client = await cli.client();
    const { parsePlatform, normalizeReference } = await import('../../client/index.ts');
    const { showTransfer } = await import('../progress.ts');
    const digest = await interruptible('push', async (signal) => {
      const platforms = (options.platform ?? []).map(parsePlatform);
      const access = await registryAccess(cli, options, signal);
      const push = client.images.push(image, { ...access, as: name, platforms });
      await showTransfer(cli, push, quiet ? undefined : cli.stdout);
      return push.digest();
    });
    const shown = { Name: normalizeReference(name), Digest: digest };
    const line = options.quiet === true ? digest : `${shown.Name}@${digest}`;
    cli.print(formatObject(cli.globals, shown) ?? `${line}\n`);
  });
}

import type { Command } from 'commander';
import { act } from '../command.ts';
import { formatObject } from '../output/print.ts';
import {
  addRegistryOptions,
  interruptible,
  type RegistryOptions,
  registryAccess,
} from '../registry-access.ts';

interface Options extends RegistryOptions {
  readonly quiet?: true;
  readonly fromUser?: string;
}

export function define(command: Command): void {
  command
    .argument('<source>', 'image at a registry')
    .argument('<destination>', 'reference to copy it to')
    .option('-q, --quiet', 'print only the digest')
    .option('--from-user <name[:password]>', 'credentials for the source; default: as for the destination');
  addRegistryOptions(command);
  act<Options>(command, async (cli, [source = '', destination = ''], options) => {
    const { json, format } = cli.globals;
    const quiet = options.quiet === true || json || format !== undefined;
    const client = await cli.client();
    const { normalizeReference } = await import('../../client/index.ts');
    const { showTransfer } = await import('../progress.ts');
    const digest = await interruptible('copy', async (signal) => {
      const to = await registryAccess(cli, options);
      const user = options.fromUser ?? options.user;
      const from = await registryAccess(cli, { ...options, user });
      const copy = client.images.copy(source, destination, { from, to, signal });
      await showTransfer(cli, copy, quiet ? undefined : cli.stdout);
      return copy.digest();
    });
    const shown = { Name: normalizeReference(destination), Digest: digest };
    const line = options.quiet === true ? digest : `${shown.Name}@${digest}`;
    cli.print(formatObject(cli.globals, shown) ?? `${line}\n`);
  });
}

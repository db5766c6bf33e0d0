import type { Command } from 'commander';
import { act } from '../command.ts';
import { formatObject } from '../output/print.ts';
import {
  addRegistryOptions,
  interruptible,
  type RegistryOptions,
  registryAccess,
} from '../registry-access.ts';

export function define(command: Command): void {
  addRegistryOptions(command.argument('<repository>', 'repository at a registry, e.g. redis'));
  act<RegistryOptions>(command, async (cli, [repository = ''], options) => {
    const client = await cli.client();
    await interruptible('listing', async (signal) => {
      const access = await registryAccess(cli, options, signal);
      for await (const tag of client.registries.tags(repository, access))
        cli.print(formatObject(cli.globals, { Tag: tag }) ?? `${tag}\n`);
    });
  });
}

import type { Command } from 'commander';
import { act } from '../command.ts';
import { forEachContainer } from '../containers.ts';

export function define(command: Command): void {
  command.argument('<container...>', 'names or ids');
  act(command, async (cli, names) => {
    const client = await cli.client();
    await forEachContainer(client, names, async ({ id }, name) => {
      await client.tasks.pause(id);
      cli.print(`${name}\n`);
    });
  });
}

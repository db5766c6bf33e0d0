import type { Command } from 'commander';
import { act } from '../command.ts';
import { findContainer } from '../containers.ts';

export function define(command: Command): void {
  command.argument('<container>', 'name or id').argument('<name>', 'new name');
  act(command, async (cli, [container = '', name = '']) => {
    const client = await cli.client();
    const { id } = await findContainer(client, container);
    await client.containers.rename(id, name);
  });
}

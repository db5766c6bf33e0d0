import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { noteStart } from '../start-container.ts';

interface Options {
  readonly name?: string;
}

export function define(command: Command): void {
  command
    .argument('<image>', 'a checkpoint')
    .option('-n, --name <name>', 'name of the container; default: made up');
  act<Options>(command, restore);
}

async function restore(cli: Cli, [image = '']: readonly string[], { name }: Options): Promise<void> {
  const client = await cli.client();
  const made = await client.checkpoints.restore(image, {
    logs: true,
    ...(name === undefined ? {} : { name }),
  });
  const { id, logUri, terminal, checkpoint } = made;
  try {
    using task = await client.tasks.create(id, {
      logUri,
      terminal,
      stdin: true,
      ...(checkpoint && { checkpoint }),
    });
    await task.start();
    await noteStart(client, await client.containers.get(id));
  } catch (error) {
    await client.containers.remove(id, { force: true }).catch(() => {});
    throw error;
  }
  cli.print(`${id}\n`);
}

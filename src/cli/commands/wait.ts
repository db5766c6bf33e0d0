import type { Command } from 'commander';
import { act } from '../command.ts';
import { findContainer, findTask, titleOf } from '../containers.ts';
import { CliError } from '../failure.ts';

export function define(command: Command): void {
  command.argument('<container...>', 'names or ids');
  act(command, async (cli, names) => {
    const client = await cli.client();
    const containers = await Promise.all(names.map((name) => findContainer(client, name)));
    const codes = containers.map(async (container) => {
      if ((await findTask(client, container.id)) === undefined)
        throw new CliError(`container ${titleOf(container)} has not been started`);
      return (await client.tasks.process(container.id).wait()).code;
    });
    for (const code of await Promise.all(codes)) cli.print(`${code}\n`);
  });
}

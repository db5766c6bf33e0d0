import type { Command } from 'commander';
import { isKind } from '../../errors/error.ts';
import { act } from '../command.ts';
import { forEachContainer, titleOf } from '../containers.ts';
import { CliError } from '../failure.ts';

export function define(command: Command): void {
  command.argument('<container...>', 'names or ids').option('-f, --force', 'kill it first when it runs');
  act<{ readonly force?: true }>(command, async (cli, names, options) => {
    const client = await cli.client();
    const force = options.force === true;
    await forEachContainer(client, names, async (container, name) => {
      try {
        await client.containers.remove(container.id, { force });
      } catch (error) {
        if (!isKind(error, 'failed_precondition') || force) throw error;
        const hint = `stop it first: berth stop ${name}, or remove by force: berth rm -f ${name}`;
        throw new CliError(`container ${titleOf(container)} is running`, { hint, cause: error });
      }
      cli.print(`${name}\n`);
    });
  });
}

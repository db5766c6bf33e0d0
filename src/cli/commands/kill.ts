import type { Command } from 'commander';
import { act } from '../command.ts';
import { findTask, forEachContainer, titleOf } from '../containers.ts';
import { CliError } from '../failure.ts';
import { parseSignal } from '../parse/signal.ts';

export function define(command: Command): void {
  command
    .argument('<container...>', 'names or ids')
    .option('-s, --signal <signal>', 'name or number', 'KILL');
  act<{ readonly signal: string }>(command, async (cli, names, options) => {
    const signal = parseSignal(options.signal);
    const client = await cli.client();
    await forEachContainer(client, names, async (container, name) => {
      const task = await findTask(client, container.id);
      if (task === undefined || task.status === 'stopped') {
        throw new CliError(`container ${titleOf(container)} is not running`);
      }
      await client.tasks.process(container.id).kill(signal);
      cli.print(`${name}\n`);
    });
  });
}

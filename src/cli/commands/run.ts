import type { Command } from 'commander';
import { act } from '../command.ts';
import { addRunOptions, type RunOptions } from '../run-options.ts';

export function define(command: Command): void {
  command
    .argument('<image>', 'name of the image, e.g. redis:7')
    .argument('[command...]', "command and arguments instead of the image's own")
    .passThroughOptions();
  addRunOptions(command);
  act<RunOptions>(command, async (cli, [image = '', ...args], options) => {
    const { runContainer } = await import('../run-container.ts');
    return runContainer(cli, image, args, options);
  });
}

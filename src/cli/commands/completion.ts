import type { Command } from 'commander';
import { act } from '../command.ts';
import { describeTree } from '../completion/tree.ts';
import { CliError } from '../failure.ts';
import { loadAll } from '../loaders.ts';

export function define(command: Command): void {
  command
    .argument('<shell>', 'bash, zsh or fish')
    .addHelpText('after', '\nFor example: berth completion bash > /etc/bash_completion.d/berth');
  act<object>(command, async (cli, [shell = '']) => {
    const program = command.parent;
    if (program === null) return;
    await loadAll(program);
    const scripts: Readonly<Record<string, () => Promise<string>>> = {
      bash: async () => (await import('../completion/bash.ts')).bashScript(describeTree(program)),
      zsh: async () => (await import('../completion/zsh.ts')).zshScript(describeTree(program)),
      fish: async () => (await import('../completion/fish.ts')).fishScript(describeTree(program)),
    };
    const script = scripts[shell];
    if (script === undefined) {
      throw new CliError(`no completion for ${JSON.stringify(shell)}`, {
        exitCode: 2,
        hint: 'bash, zsh or fish',
      });
    }
    cli.print(await script());
  });
}

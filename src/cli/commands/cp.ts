import type { Command } from 'commander';
import { act } from '../command.ts';

interface Options {
  readonly archive?: true;
  readonly followLink?: true;
}

export function define(command: Command): void {
  command
    .argument('<source>', 'container:path, a path here, or - for a tar on standard input')
    .argument('<destination>', 'container:path, a path here, or - for a tar on standard output')
    .option('-a, --archive', 'keep owners')
    .option('-L, --follow-link', 'copy what a symlink points to, not the link');
  act<Options>(command, async (cli, [source = '', destination = ''], options) => {
    const { copyPaths } = await import('../copy-paths.ts');
    const { archive = false, followLink = false } = options;
    await copyPaths(cli, source, destination, { archive, followLink });
  });
}

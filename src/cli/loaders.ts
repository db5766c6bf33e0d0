import type { Command } from 'commander';

/** How to give a command its options, for commands that have not got them yet. */
export const loaders = new WeakMap<Command, () => Promise<void>>();

/** Gives every command of a program its options, for completion. */
export async function loadAll(program: Command): Promise<void> {
  await Promise.all(program.commands.map((command) => loaders.get(command)?.()));
}

import type { Command, Option } from 'commander';

/** What a shell needs to know about a flag. */
export interface Flag {
  readonly short: string | undefined;
  readonly long: string;
  readonly takesValue: boolean;
  readonly description: string;
}

/** What the operands of a command name, so that the shell can ask for them. */
export type Operand = 'container' | 'image' | 'none';

export interface CommandTree {
  readonly name: string;
  readonly summary: string;
  readonly flags: readonly Flag[];
  readonly operand: Operand;
  readonly words: readonly string[];
}

export interface Tree {
  readonly flags: readonly Flag[];
  readonly commands: readonly CommandTree[];
}

const wordsOf: Readonly<Record<string, readonly string[]>> = {
  completion: ['bash', 'zsh', 'fish'],
  namespaces: ['ls', 'create', 'label', 'rm'],
};

/** The commands and flags of a program whose commands are all loaded. */
export function describeTree(program: Command): Tree {
  return {
    flags: program.options.map(toFlag),
    commands: program.commands.map((command) => ({
      name: command.name(),
      summary: command.summary(),
      flags: command.options.map(toFlag),
      operand: operandOf(command),
      words: wordsOf[command.name()] ?? [],
    })),
  };
}

function operandOf(command: Command): Operand {
  const first = command.registeredArguments[0]?.name();
  if (first === 'container' || command.name() === 'inspect') return 'container';
  return first === 'image' ? 'image' : 'none';
}

const toFlag = (option: Option): Flag => ({
  short: option.short,
  long: option.long ?? option.flags,
  takesValue: option.required || option.optional,
  description: option.description,
});

/** Prints the names that stand for each kind of operand, one a line. */
export const listingOf: Readonly<Record<Exclude<Operand, 'none'>, string>> = {
  container: "berth ps -a --format '{{.Names}}'",
  image: "berth images --format '{{.Repository}}:{{.Tag}}'",
};

import { type CommandTree, type Flag, listingOf, type Tree } from './tree.ts';

const quoted = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`;

function flagLine(condition: string, { short, long, takesValue, description }: Flag): string {
  const parts = [
    `complete -c berth -n ${quoted(condition)}`,
    ...(short === undefined ? [] : [`-s ${short.slice(1)}`]),
    `-l ${long.slice(2)}`,
    ...(takesValue ? ['-r'] : []),
    `-d ${quoted(description)}`,
  ];
  return parts.join(' ');
}

function commandLines(command: CommandTree): string[] {
  const seen = `__fish_seen_subcommand_from ${command.name}`;
  const operands =
    command.words.length > 0
      ? command.words.join(' ')
      : command.operand === 'none'
        ? undefined
        : `(${listingOf[command.operand]} 2>/dev/null)`;
  return [
    `complete -c berth -n __fish_use_subcommand -f -a ${command.name} -d ${quoted(command.summary)}`,
    ...command.flags.map((flag) => flagLine(seen, flag)),
    ...(operands === undefined ? [] : [`complete -c berth -n ${quoted(seen)} -f -a ${quoted(operands)}`]),
  ];
}

/** A completion script for fish. */
export function fishScript({ flags, commands }: Tree): string {
  const lines = [
    '# fish completion for berth; made by: berth completion fish',
    ...flags.map((flag) => flagLine('__fish_use_subcommand', flag)),
    ...commands.flatMap(commandLines),
  ];
  return `${lines.join('\n')}\n`;
}

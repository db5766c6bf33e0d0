import { type CommandTree, type Flag, listingOf, type Tree } from './tree.ts';

const quoted = (text: string): string => text.replace(/'/g, "'\\''").replace(/[[\]:\\]/g, '\\$&');

function flagSpecs({ short, long, takesValue, description }: Flag): string[] {
  const value = takesValue ? ':value:_files' : '';
  return (short === undefined ? [long] : [short, long]).map(
    (flag) => `'*${flag}[${quoted(description)}]${value}'`,
  );
}

function operandSpec({ operand, words }: CommandTree): string {
  if (words.length > 0) return `'*:word:(${words.join(' ')})'`;
  return operand === 'none' ? "'*:file:_files'" : `'*:${operand}:_berth_${operand}s'`;
}

function commandCase(command: CommandTree): string {
  const specs = [...command.flags.flatMap(flagSpecs), operandSpec(command)];
  return `    ${command.name})\n      _arguments -s \\\n        ${specs.join(' \\\n        ')}\n      ;;`;
}

const lister = (operand: 'container' | 'image'): string => `_berth_${operand}s() {
  local -a found
  found=(\${(f)"$(${listingOf[operand]} 2>/dev/null)"})
  compadd -a found
}`;

/** A completion script for zsh, to be put on $fpath as _berth. */
export function zshScript({ flags, commands }: Tree): string {
  const names = commands.map(({ name, summary }) => `    '${name}:${quoted(summary)}'`).join('\n');
  return `#compdef berth
# zsh completion for berth; made by: berth completion zsh
${lister('container')}
${lister('image')}
_berth() {
  local context state line
  local -a commands
  commands=(
${names}
  )
  _arguments -C \\
    ${flags.flatMap(flagSpecs).join(' \\\n    ')} \\
    '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
      case $words[1] in
${commands.map(commandCase).join('\n')}
      esac
      ;;
  esac
}
if [ "$funcstack[1]" = _berth ]; then _berth "$@"; else compdef _berth berth; fi
`;
}

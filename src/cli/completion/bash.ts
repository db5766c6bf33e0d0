import { type CommandTree, type Flag, listingOf, type Tree } from './tree.ts';

const flagWords = (flags: readonly Flag[]): string =>
  flags.flatMap(({ short, long }) => (short === undefined ? [long] : [short, long])).join(' ');

const valueFlags = (flags: readonly Flag[]): string =>
  flags
    .filter(({ takesValue }) => takesValue)
    .flatMap(({ short, long }) => (short === undefined ? [long] : [short, long]))
    .join('|');

function operands({ operand, words }: CommandTree): string {
  if (words.length > 0) return words.join(' ');
  return operand === 'none' ? '' : `$(${listingOf[operand]} 2>/dev/null)`;
}

function commandCase(command: CommandTree): string {
  return `    ${command.name})
      flags="${flagWords(command.flags)}"
      [[ "$cur" == -* ]] || words="${operands(command)}"
      ;;`;
}

/** A completion script for bash 4 and later. */
export function bashScript({ flags, commands }: Tree): string {
  const globalValues = valueFlags(flags);
  return `# bash completion for berth; made by: berth completion bash
_berth() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" command="" i flags words=""
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${COMP_WORDS[i]}" in
      ${globalValues}) ((i++)) ;;
      -*) ;;
      *) command="\${COMP_WORDS[i]}"; break ;;
    esac
  done
  case "$command" in
    "")
      flags="${flagWords(flags)}"
      words="${commands.map(({ name }) => name).join(' ')}"
      ;;
${commands.map(commandCase).join('\n')}
  esac
  if [[ "$cur" == -* ]]; then words="$flags"; fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions "$cur"; fi
}
complete -o default -F _berth berth
`;
}

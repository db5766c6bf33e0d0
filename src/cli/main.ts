import { CommanderError } from 'commander';
import { outcome } from './command.ts';
import { commandElsewhere, optionElsewhere } from './not-here.ts';
import { ownVersion } from './own-version.ts';
import { makeProgram } from './program.ts';

const usageError = 2;
/** As docker: `run` and `exec` keep 1 and 2 for the container. */
const runUsageError = 125;

/** `berth help run` is `berth run --help`. */
function rewriteHelp(args: readonly string[]): string[] {
  const [first, second] = args;
  if (args.length === 0) return ['--help'];
  if (first !== 'help') return [...args];
  return second === undefined ? ['--help'] : [second, '--help'];
}

/** Runs the command line. @returns the exit status */
async function main(args: readonly string[]): Promise<number> {
  const program = makeProgram(ownVersion());
  const errors: string[] = [];
  program.configureOutput({ outputError: (text) => errors.push(text) });
  for (const command of program.commands) command.copyInheritedSettings(program);
  try {
    await program.parseAsync(rewriteHelp(args), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return usage(error, errors, args);
  }
  if (outcome.failure === undefined) return outcome.exitCode;
  const { reportFailure } = await import('./failure.ts');
  return reportFailure(outcome.failure, process.stderr, process.env);
}

function usage(error: CommanderError, errors: readonly string[], args: readonly string[]): number {
  if (error.exitCode === 0) return 0;
  const known = new Set(makeProgram('').commands.map((one) => one.name()));
  const command = args.find((arg) => known.has(arg));
  const help = command === undefined ? 'berth --help' : `berth ${command} --help`;
  process.stderr.write(`berth: ${explain(errors.join(''), command)}\nSee '${help}'.\n`);
  return command === 'run' || command === 'exec' ? runUsageError : usageError;
}

/** commander's words and suggestion, or what is known of other tools' options and commands. */
function explain(text: string, command: string | undefined): string {
  const plain = text.replace(/^error: /, '').trimEnd();
  const [, what, name = ''] = /^unknown (option|command) '([^']*)'/.exec(plain) ?? [];
  const elsewhere =
    what === 'command' ? commandElsewhere(name) : command === 'run' ? optionElsewhere(name) : undefined;
  return elsewhere === undefined ? plain : `${name} is not supported: ${elsewhere}`;
}

/** `berth ps | head -1` closes the pipe; that is no failure. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(outcome.closedPipe?.() ?? 0);
});

const exitCode = await main(process.argv.slice(2));
process.exit(exitCode);

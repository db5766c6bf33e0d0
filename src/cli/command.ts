import { type Command, Option } from 'commander';
import { Cli, type Globals } from './cli.ts';

/** What a command does: `args` are its operands in order. The result is the exit status, 0 when absent. */
export type Action<O> = (cli: Cli, args: readonly string[], options: O) => Promise<number> | Promise<void>;

/** How a command failed, with what is needed to tell the user. */
export interface Failure {
  readonly error: unknown;
  readonly globals: Globals;
  readonly command: string;
}

/** Where an action leaves its exit status or failure for `main`. */
export interface Outcome {
  exitCode: number;
  failure?: Failure;
  /** Called when standard output was closed, before this program ends; returns its exit status. Default: 0. */
  closedPipe?: () => number;
}

export const outcome: Outcome = { exitCode: 0 };

/** Ties an action to a command. O is the shape of the command's own options. */
export function act<O>(command: Command, action: Action<O>): Command {
  return command.action(async () => {
    const options = command.opts<O & Partial<Globals>>();
    const cli = new Cli({ ...command.parent?.opts(), ...withoutUndefined(options) }, process.env);
    try {
      outcome.exitCode = (await action(cli, command.args, options)) ?? 0;
    } catch (error) {
      outcome.failure = { error, globals: cli.globals, command: command.name() };
    } finally {
      cli.close();
    }
  });
}

const withoutUndefined = (options: object): object =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

/** The global options; on a command itself they are hidden from its help. */
export function addGlobals(command: Command, hidden: boolean): Command {
  const short = hidden ? { address: '', namespace: '' } : { address: '-H, ', namespace: '-n, ' };
  const options = [
    new Option(`${short.address}--address <socket>`, 'socket of the daemon (BERTH_ADDRESS)'),
    new Option(`${short.namespace}--namespace <name>`, 'namespace to work in (BERTH_NAMESPACE)'),
    new Option('--json', 'print JSON'),
    new Option('--format <template>', "print by a template such as '{{.ID}}', or json"),
    new Option('--debug', 'show causes of errors'),
  ];
  for (const option of options) {
    const taken = command.options.some((other) => other.long === option.long);
    if (!taken) command.addOption(hidden ? option.hideHelp() : option);
  }
  return command;
}

/** For options that may be given several times. */
export const collect = (value: string, earlier: readonly string[] = []): string[] => [...earlier, value];

import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { codeOf, messageOf } from '../errors/error.ts';
import type { LogLevel } from './config/config.ts';
import { logLevel } from './config/values.ts';
import { addConfigCommands } from './config-commands.ts';
import { configFrom, type Flags, type Identity } from './flags.ts';

/** Berth's own. */
export const { version } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { version: string };

/** What a program that starts the daemon is called and begins with. */
export interface ProgramIdentity extends Identity {
  readonly name: 'berthd' | 'containerd';
  /** What the version flag prints. */
  readonly version: string;
  readonly versionFlags: string;
}

/** Runs the daemon, or the command that the command line names. */
export async function runProgram(identity: ProgramIdentity): Promise<void> {
  const { name, defaults, configPath } = identity;
  const program = new Command(name)
    .description('Berth: a container runtime daemon that speaks the API of containerd')
    .version(identity.version, identity.versionFlags, 'print the version')
    .showSuggestionAfterError()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, `${name}: `)) })
    .option('--root <dir>', `directory of data that outlives a reboot (default: ${defaults.root})`)
    .option('--state <dir>', `directory of what a reboot may lose (default: ${defaults.state})`)
    .option('-a, --address <path>', `unix socket to serve on (default: ${defaults.address})`)
    .option(
      '-c, --config <file>',
      `configuration file, Berth's or containerd's of any version (default: ${configPath}, where it exists)`,
    )
    .option('-l, --log-level <level>', 'what to log: trace, debug, info, warn, error or fatal', parseLogLevel)
    .enablePositionalOptions()
    .allowExcessArguments()
    .action(() => guarded(() => serve(program, identity)));
  const guarded = guardOf(name);
  addConfigCommands(program, identity, guarded);
  addEventCommands(program, identity, guarded);
  await program.parseAsync();
}

type Guard = ReturnType<typeof guardOf>;

function addEventCommands(program: Command, identity: ProgramIdentity, guarded: Guard): void {
  program
    .command('publish')
    .description('hand an event, a protobuf Any on standard input, to the running daemon (for shims)')
    .requiredOption('--topic <topic>', 'topic of the event, such as /tasks/exit')
    .requiredOption('--namespace <name>', 'namespace that it happened in')
    .action((wanted: { topic: string; namespace: string }) =>
      guarded(async () => {
        const { publish } = await import('./publish.ts');
        const { config } = configFrom(program.opts<Flags>(), identity);
        await publish({ config, ...wanted, event: readFileSync(0) });
      }),
    );
  program
    .command('oci-hook')
    .description("run a program as a hook of an OCI runtime, with the container's state in its arguments")
    .argument('<words...>', 'program and arguments; {{id}}, {{pid}}, {{bundle}}, {{rootfs}} … are filled in')
    .passThroughOptions()
    .action((words: string[]) =>
      guarded(async () => {
        const { runHook } = await import('./oci-hook.ts');
        runHook(words, process.env, readFileSync(0, 'utf8'));
      }),
    );
}

/** Loads the daemon only now: the commands need none of it. */
async function serve(program: Command, identity: ProgramIdentity): Promise<void> {
  const [word] = program.args;
  if (word !== undefined)
    program.error(`${identity.name}: unknown command '${word}', want config, publish, oci-hook or none`);
  // This thread is decided; threads that come and go (layers) start four times faster with the cache.
  delete process.env.NODE_DISABLE_COMPILE_CACHE;
  const { startDaemon } = await import('./lifecycle.ts');
  await startDaemon(() => configFrom(program.opts<Flags>(), identity), version);
}

function parseLogLevel(word: string): LogLevel {
  try {
    return logLevel(word);
  } catch (error) {
    throw new InvalidArgumentError(`It ${messageOf(error)}.`);
  }
}

/** Runs, and says in one line why it could not. */
const guardOf =
  (name: string) =>
  async (work: () => unknown): Promise<void> => {
    try {
      await work();
    } catch (error) {
      const hint = codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM' ? ' (it needs root)' : '';
      process.stderr.write(`${name}: ${messageOf(error)}${hint}\n`);
      process.exit(1);
    }
  };

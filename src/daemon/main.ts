import { existsSync, readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { codeOf, messageOf } from '../errors/error.ts';
import { type Config, defaultConfig, defaultConfigPath, logLevels } from './config/config.ts';
import { changedKeys } from './config/diff.ts';
import { loadConfig } from './config/load.ts';
import { renderConfig } from './config/render.ts';
import { configFrom, type Flags } from './flags.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('berthd')
  .description('Berth: a container runtime daemon that speaks the API of containerd')
  .version(version)
  .showSuggestionAfterError()
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'berthd: ')) })
  .option('--root <dir>', `directory of data that outlives a reboot (default: ${defaultConfig.root})`)
  .option('--state <dir>', `directory of what a reboot may lose (default: ${defaultConfig.state})`)
  .option('-a, --address <path>', `unix socket to serve on (default: ${defaultConfig.address})`)
  .option('-c, --config <file>', 'configuration file: of Berth, or of containerd, version 2 or 3')
  .addOption(new Option('-l, --log-level <level>', 'what to log').choices(logLevels))
  .allowExcessArguments()
  .action(() => guarded(serve));

const config = program.command('config').description('show or check the configuration');
config
  .command('default')
  .description('print the defaults')
  .action(() => print(renderConfig(defaultConfig)));
config
  .command('dump')
  .description('print what berthd would run with')
  .action(() => guarded(() => print(renderConfig(configFrom(program.opts<Flags>()).config))));
config
  .command('check [file]')
  .description('read a configuration file and say what would become of it')
  .action((file?: string) =>
    guarded(() => {
      if (file === undefined && program.opts<Flags>().config === undefined && !existsSync(defaultConfigPath))
        print(`there is no ${defaultConfigPath}, so berthd runs with its defaults\n`);
      check(file ? loadConfig(file) : configFrom(program.opts<Flags>()));
    }),
  );

program
  .command('publish')
  .description('hand an event, a protobuf Any on standard input, to the running daemon (for shims)')
  .requiredOption('--topic <topic>', 'topic of the event, such as /tasks/exit')
  .requiredOption('--namespace <name>', 'namespace that it happened in')
  .action((wanted: { topic: string; namespace: string }) => guarded(() => publishInput(wanted)));

async function publishInput(wanted: { topic: string; namespace: string }): Promise<void> {
  const { publish } = await import('./publish.ts');
  const { address } = configFrom(program.opts<Flags>()).config;
  await publish({ address, ...wanted, event: readFileSync(0) });
}

/** Loads the daemon only now: `config` needs none of it. */
async function serve(): Promise<void> {
  const [word] = program.args;
  if (word !== undefined) program.error(`berthd: unknown command '${word}', want config or none`);
  // This thread is decided; threads that come and go (layers) start four times faster with the cache.
  delete process.env.NODE_DISABLE_COMPILE_CACHE;
  const { startDaemon } = await import('./lifecycle.ts');
  await startDaemon(() => configFrom(program.opts<Flags>()), version);
}

function check({ config: read, warnings }: { config: Config; warnings: readonly string[] }): void {
  for (const warning of warnings) print(`no meaning here, ignored: ${warning}\n`);
  for (const change of changedKeys(defaultConfig, read)) print(`differs from the default: ${change}\n`);
  print('the configuration is valid\n');
}

const print = (text: string): void => void process.stdout.write(text);

/** Runs, and says in one line why it could not. */
async function guarded(work: () => unknown): Promise<void> {
  try {
    await work();
  } catch (error) {
    process.stderr.write(`berthd: ${messageOf(error)}${hintFor(error)}\n`);
    process.exit(1);
  }
}

function hintFor(error: unknown): string {
  if (codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM') return ' (berthd needs root)';
  return '';
}

await program.parseAsync();

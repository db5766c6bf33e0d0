import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { changesBetween, changeText } from './config/diff.ts';
import { readConfigFile } from './config/file.ts';
import { type LoadedConfig, loadConfig, readFiles } from './config/load.ts';
import { renderConfig, renderSettings } from './config/render.ts';
import { configFrom, type Flags, type Identity } from './flags.ts';

/** `config default | dump | migrate | check`: none of them needs a daemon. */
export function addConfigCommands(
  program: Command,
  identity: Identity,
  guarded: (work: () => unknown) => Promise<void>,
): void {
  const config = program.command('config').description('show, check and migrate the configuration');
  const read = (file?: string): LoadedConfig =>
    file ? loadConfig(file, identity.defaults) : configFrom(program.opts<Flags>(), identity);
  config
    .command('default')
    .description('print the defaults')
    .action(() => print(renderConfig(identity.defaults)));
  config
    .command('dump')
    .description('print what the daemon would run with, imported files included')
    .action(() => guarded(() => print(dump(read()))));
  config
    .command('migrate [file]')
    .description('print what a file sets, without what it imports, as a file of the latest version')
    .action((file?: string) =>
      guarded(() => print(migrated(file ?? program.opts<Flags>().config ?? identity.configPath))),
    );
  config
    .command('check [file]')
    .description('read a configuration file and say what would become of it')
    .action((file?: string) =>
      guarded(() => {
        const path = identity.configPath;
        if (file === undefined && program.opts<Flags>().config === undefined && !existsSync(path))
          print(`there is no ${path}, so ${program.name()} runs with its defaults\n`);
        check(read(file), identity);
      }),
    );
}

/** Every key that means something, and what files say beside those. */
const dump = ({ config, unread }: LoadedConfig): string => renderConfig(config, unread);

function migrated(path: string): string {
  const file = readConfigFile(path);
  const { settings } = readFiles({ ...file, imports: [] });
  const imports = file.imports.length === 0 ? [] : [{ path: ['imports'], value: file.importPatterns }];
  return renderSettings([...imports, ...settings]);
}

function check({ config, warnings, deprecations }: LoadedConfig, { defaults }: Identity): void {
  for (const warning of warnings) print(`no meaning here, ignored: ${warning}\n`);
  for (const { id, message } of deprecations) print(`deprecated: ${id}: ${message}\n`);
  for (const change of changesBetween(defaults, config))
    print(`differs from the default: ${changeText(change)}\n`);
  print('the configuration is valid\n');
}

const print = (text: string): void => void process.stdout.write(text);

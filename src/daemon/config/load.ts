import { invalidArgument, messageOf } from '../../errors/error.ts';
import { type Config, defaultConfig } from './config.ts';
import { isInert } from './containerd-defaults.ts';
import { type Deprecation, deprecationsOf } from './deprecations.ts';
import { type ConfigFile, parseConfigFile, readConfigFile, sameFile } from './file.ts';
import { dotted, isBelow } from './key-path.ts';
import { allKeys, type Key, keys } from './keys.ts';
import { mergeInto } from './merge.ts';
import { migrate } from './migrate.ts';
import { type Setting, treeOf, valueAt } from './settings.ts';

const maxFiles = 256;

/** A configuration, and what in its files was not understood. */
export interface LoadedConfig {
  readonly config: Config;
  /** Keys that were read and mean nothing here, as `file:line: key`. */
  readonly warnings: readonly string[];
  /** What is set and on its way out. */
  readonly deprecations: readonly Deprecation[];
  /** What the files say beside what Berth writes into one itself, in the names of the latest version. */
  readonly unread: readonly Setting[];
}

/** Where there is no file. */
export const emptyConfig = (config: Config): LoadedConfig => ({
  config,
  warnings: [],
  deprecations: [],
  unread: [],
});

/** What files say, in the names of the latest version, each laid over those before it. */
export interface ReadFiles {
  readonly settings: readonly Setting[];
  /** As they were read. */
  readonly files: readonly string[];
  /** The lowest version among them. */
  readonly version: number;
}

/**
 * Reads a configuration file, Berth's own or containerd's of any version, and what it imports.
 * @throws invalid_argument naming file, line and what is allowed; not_found
 */
export function loadConfig(path: string, base: Config = defaultConfig): LoadedConfig {
  return configOf(readFiles(readConfigFile(path)).settings, base);
}

/** As {@link loadConfig} for a text; `file` names it in errors and warnings, and imports are relative to it. */
export function parseConfig(text: string, file: string, base: Config = defaultConfig): LoadedConfig {
  return configOf(readFiles(parseConfigFile(text, file)).settings, base);
}

/**
 * A file and its imports, breadth first. One that was read is not read again, so files may import each other.
 * @throws invalid_argument (an import of a later version than the first file, too many files), not_found
 */
export function readFiles(first: ConfigFile): ReadFiles {
  const merged = new Map<string, Setting>();
  const read = new Map([[sameFile(first.path), first]]);
  for (const file of read.values()) {
    if (file.version > first.version)
      throw invalidArgument(
        `${file.path}: drop-in config version ${file.version} higher than root config version ${first.version}`,
      );
    mergeInto(merged, migrate(file.settings, file.version));
    for (const path of file.imports)
      if (!read.has(sameFile(path))) read.set(sameFile(path), readConfigFile(path));
    if (read.size > maxFiles)
      throw invalidArgument(`${first.path}: more than ${maxFiles} files are imported`);
  }
  const files = [...read.values()];
  return {
    settings: [...merged.values()],
    files: files.map(({ path }) => path),
    version: Math.min(...files.map(({ version }) => version)),
  };
}

function configOf(settings: readonly Setting[], base: Config): LoadedConfig {
  const tree = treeOf(settings);
  let config = base;
  for (const key of allKeys) {
    const value = valueAt(tree, key.path);
    if (value !== undefined) config = key.apply(config, checked(key, value, settings) as never);
  }
  const outside = (list: readonly Key[]) => (one: Setting) =>
    !list.some(({ path }) => isBelow(one.path, path));
  const unread = settings.filter(outside(keys));
  const ignored = unread.filter(outside(allKeys)).filter((one) => !isInert(one));
  return {
    config,
    warnings: ignored.map(({ at, name }) => `${at}: ${name}`),
    deprecations: deprecationsOf(tree),
    unread,
  };
}

function checked(key: Key, value: unknown, settings: readonly Setting[]): unknown {
  try {
    return key.check(value);
  } catch (error) {
    const setting = settings.findLast(({ path }) => isBelow(path, key.path));
    const name = setting?.path.length === key.path.length ? setting.name : dotted(key.path);
    throw invalidArgument(`${setting?.at}: ${name} ${messageOf(error)}`, error);
  }
}

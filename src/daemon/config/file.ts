import { globSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, normalize } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { codeOf, invalidArgument, messageOf, notFound } from '../../errors/error.ts';
import { dotted } from './key-path.ts';
import { lineOf } from './line.ts';
import { latestVersion } from './migrate.ts';
import { leavesOf, type Setting } from './settings.ts';

const maxFileBytes = 1024 * 1024;
const maxImports = 256;

/** A configuration file as it stands. */
export interface ConfigFile {
  readonly path: string;
  /** 0 where it names none. */
  readonly version: number;
  /** In the names of its version; `version` and `imports` are not among them. */
  readonly settings: readonly Setting[];
  /** Paths of files that are laid over this one, in order; patterns are resolved, relative ones start at this file. */
  readonly imports: readonly string[];
  /** As the file has them. */
  readonly importPatterns: readonly string[];
}

/** @throws not_found, invalid_argument naming file, line and what is allowed */
export function readConfigFile(path: string): ConfigFile {
  return parseConfigFile(readText(path), path);
}

/** As {@link readConfigFile} for a text; `path` names it. */
export function parseConfigFile(text: string, path: string): ConfigFile {
  const { version, imports, ...rest } = parseToml(text, path);
  const at = (key: readonly string[]): string => `${path}:${lineOf(text, key)}`;
  const patterns = checkedImports(imports, at(['imports']));
  return {
    path,
    version: checkedVersion(version, at(['version'])),
    imports: resolveImports(patterns, path),
    importPatterns: patterns,
    settings: [...leavesOf(rest)].map(([key, value]) => ({
      path: key,
      value,
      name: dotted(key),
      at: at(key),
    })),
  };
}

/** One name for one file, however it is reached. */
export function sameFile(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function readText(path: string): string {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw invalidArgument(`${path}: not a file`);
    if (stat.size > maxFileBytes) throw invalidArgument(`${path}: larger than ${maxFileBytes} bytes`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') throw notFound(`configuration file ${path} does not exist`, error);
    throw error;
  }
}

function parseToml(text: string, file: string): Record<string, unknown> {
  try {
    return parse(text, { integersAsBigInt: 'asNeeded' });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw invalidArgument(`${file}:${error.line}: ${messageOf(error).split('\n')[0]}`, error);
  }
}

function checkedVersion(version: unknown, at: string): number {
  if (version === undefined) return 0;
  if (typeof version === 'number' && Number.isInteger(version) && version >= 0 && version <= latestVersion)
    return version;
  throw invalidArgument(`${at}: version must be 1 to ${latestVersion}`);
}

function checkedImports(imports: unknown, at: string): string[] {
  if (imports === undefined) return [];
  if (!Array.isArray(imports) || !imports.every((one) => typeof one === 'string' && !one.includes('\0')))
    throw invalidArgument(`${at}: imports must be an array of paths`);
  if (imports.length > maxImports) throw invalidArgument(`${at}: more than ${maxImports} imports`);
  return imports;
}

const resolveImports = (patterns: readonly string[], file: string): string[] =>
  patterns.flatMap((one) => {
    const path = normalize(isAbsolute(one) ? one : join(dirname(file), one));
    return path.includes('*') ? globSync(path).sort() : [path];
  });

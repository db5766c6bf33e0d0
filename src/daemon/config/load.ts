import { readFileSync, statSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';
import { codeOf, invalidArgument, messageOf, notFound } from '../../errors/error.ts';
import { type Config, defaultConfig } from './config.ts';
import { type Key, keysByVersion } from './keys.ts';
import { lineOf } from './line.ts';

const maxFileBytes = 1024 * 1024;

/** A configuration, and what in its file was not understood. */
export interface LoadedConfig {
  readonly config: Config;
  /** Keys that were read and mean nothing here, as `file:line: key`. */
  readonly warnings: readonly string[];
}

/**
 * Reads a configuration file: Berth's own, or containerd's of version 2 or 3.
 * @throws invalid_argument naming file, line and what is allowed; not_found
 */
export function loadConfig(path: string, base: Config = defaultConfig): LoadedConfig {
  return parseConfig(readText(path), path, base);
}

/** As {@link loadConfig} for a text; `file` names it in errors and warnings. */
export function parseConfig(text: string, file: string, base: Config = defaultConfig): LoadedConfig {
  const document = parseToml(text, file);
  const keys = keysByVersion[versionOf(document, text, file)];
  const warnings: string[] = [];
  let config = base;
  for (const { path, value } of leaves(document, keys)) {
    const at = `${file}:${lineOf(text, path)}`;
    const name = path.join('.');
    const known = Object.hasOwn(keys, name) ? keys[name] : undefined;
    if (known) config = known.apply(config, checked(known, value, at, path) as never);
    else warnings.push(`${at}: ${name}`);
  }
  return { config, warnings };
}

function readText(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > maxFileBytes) throw invalidArgument(`${path}: larger than ${maxFileBytes} bytes`);
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

function versionOf(document: Record<string, unknown>, text: string, file: string): 2 | 3 {
  const version = document.version ?? 3;
  if (version === 2 || version === 3) return version;
  throw invalidArgument(`${file}:${lineOf(text, ['version'])}: version must be 2 or 3`);
}

function checked(key: Key, value: unknown, at: string, path: readonly string[]): unknown {
  try {
    return key.check(value);
  } catch (error) {
    throw invalidArgument(`${at}: ${path.join('.')} ${messageOf(error)}`, error);
  }
}

interface Leaf {
  readonly path: readonly string[];
  readonly value: unknown;
}

/** Every key that is set, tables opened up. */
function* leaves(
  table: object,
  keys: Readonly<Record<string, Key>>,
  prefix: readonly string[] = [],
): Generator<Leaf> {
  for (const [name, value] of Object.entries(table)) {
    const path = [...prefix, name];
    if (prefix.length === 0 && name === 'version') continue;
    const isTable =
      typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
    if (isTable && !Object.hasOwn(keys, path.join('.'))) yield* leaves(value, keys, path);
    else yield { path, value };
  }
}

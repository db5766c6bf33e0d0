import { readdirSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { Log } from '../async/context.ts';
import { codeOf, invalidArgument, messageOf, notFound } from '../errors/error.ts';
import type { GivenDevice, ResolvedEdits } from '../oci/spec/cdi-edits.ts';
import { type CdiSpec, type ContainerEdits, parseCdiSpec } from '../oci/spec/cdi-spec.ts';
import { type Json, parseStrictJson } from '../oci/strict-json.ts';
import { readFileInRoot } from '../sys/read-file.ts';
import { hostDevice } from './host-devices.ts';

/** Where vendors put their files; a device in a later directory replaces that of an earlier one. */
export const cdiDirs: readonly string[] = ['/etc/cdi', '/var/run/cdi'];
const maxFiles = 1000;
const maxBytes = 4 * 1024 * 1024;

/** What stands for a device in one directory. */
interface Entry {
  readonly edits: readonly ContainerEdits[];
  /** The file that says so, and others that do as well. */
  readonly files: readonly string[];
}

/**
 * What the named devices (`vendor/class=name`) make of a container. Files that cannot be read are logged and passed by.
 * @throws not_found (a device), invalid_argument (two files of a directory claim it; no such node on the host)
 */
export async function resolveCdiDevices(
  names: readonly string[],
  log: Log,
  dirs: readonly string[] = cdiDirs,
): Promise<ResolvedEdits> {
  const known = new Map<string, Entry>();
  for (const dir of dirs) for (const [name, entry] of await readDirectory(dir, log)) known.set(name, entry);
  const missing = names.filter((name) => !known.has(name));
  if (missing.length > 0) throw notFound(`unresolvable CDI devices ${missing.join(', ').slice(0, 500)}`);
  const edits = new Set(names.flatMap((name) => editsOf(name, known.get(name))));
  return merge([...edits]);
}

function editsOf(name: string, entry: Entry | undefined): readonly ContainerEdits[] {
  const { edits = [], files = [] } = entry ?? {};
  if (files.length > 1) throw invalidArgument(`CDI device ${name} is in ${files.slice(0, 5).join(' and ')}`);
  return edits;
}

async function readDirectory(dir: string, log: Log): Promise<Map<string, Entry>> {
  const found = new Map<string, Entry>();
  for (const file of filesOf(dir)) {
    const spec = await readFile(dir, file, log);
    for (const { name, edits } of spec?.devices ?? []) {
      const key = `${spec?.kind}=${name}`;
      const files = [...(found.get(key)?.files ?? []), join(dir, file)];
      found.set(key, { files, edits: spec === undefined ? [] : [spec.edits, edits] });
    }
  }
  return found;
}

function filesOf(dir: string): string[] {
  try {
    const names = readdirSync(dir).filter((name) => ['.json', '.yaml', '.yml'].includes(extname(name)));
    return names.sort().slice(0, maxFiles);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}

async function readFile(dir: string, file: string, log: Log): Promise<CdiSpec | undefined> {
  const path = join(dir, file);
  try {
    return parseCdiSpec(await parseBytes(readFileInRoot(dir, file, maxBytes), file), path);
  } catch (error) {
    log.warn({ path, error: messageOf(error) }, 'CDI file is passed by');
    return undefined;
  }
}

async function parseBytes(bytes: Buffer, file: string): Promise<Json> {
  if (extname(file) === '.json') return parseStrictJson(bytes, maxBytes, file);
  // Few hosts have any, so that the parser is loaded by those only.
  const { parse } = await import('yaml');
  return parse(bytes.toString('utf8'), { maxAliasCount: 100 }) as Json;
}

function merge(all: readonly ContainerEdits[]): ResolvedEdits {
  return {
    env: all.flatMap(({ env }) => env),
    mounts: all.flatMap(({ mounts }) => mounts),
    hooks: all.flatMap(({ hooks }) => hooks),
    additionalGids: all.flatMap(({ additionalGids }) => additionalGids),
    devices: all.flatMap(({ deviceNodes }) => deviceNodes).map(resolveNode),
  };
}

function resolveNode({
  path,
  hostPath = path,
  permissions = 'rwm',
  type,
  ...given
}: ContainerEdits['deviceNodes'][number]): GivenDevice {
  const isWhole = type !== undefined && given.major !== undefined && given.minor !== undefined;
  const found = isWhole
    ? { type: type === 'b' ? ('b' as const) : ('c' as const), major: 0, minor: 0 }
    : hostDevice(hostPath);
  return { ...found, ...given, path, access: permissions };
}

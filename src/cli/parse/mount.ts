import { isAbsolute, resolve } from 'node:path';
import type { ContainerMount } from '../../client/index.ts';
import { invalidArgument } from '../../errors/error.ts';

const propagations = new Set(['shared', 'slave', 'private', 'rshared', 'rslave', 'rprivate']);
const flags = new Set(['ro', 'rw', 'nosuid', 'nodev', 'noexec', 'exec', 'suid', 'dev', 'bind', 'rbind']);
const ignored = new Set(['z', 'Z', 'nocopy', 'cached', 'delegated', 'consistent']);

/** A bind mount's options in the order runtimes expect them. */
function bindOptions(options: readonly string[]): string[] {
  const kind = options.includes('bind') ? [] : ['rbind'];
  const propagation = options.some((option) => propagations.has(option)) ? [] : ['rprivate'];
  const access = options.includes('ro') || options.includes('rw') ? [] : ['rw'];
  return [
    ...kind,
    ...propagation,
    ...access,
    ...options.filter((option) => option !== 'rbind' || kind.length === 0),
  ];
}

function target(text: string, value: string): string {
  if (!isAbsolute(value)) throw bad(text, `destination ${JSON.stringify(value)} must be an absolute path`);
  return value;
}

/** `-v /host/path:/in/container[:ro,rslave…]`. Relative host paths start at `cwd`. @throws invalid_argument */
export function parseVolume(text: string, cwd: string): ContainerMount {
  const [source = '', destination, options = '', ...rest] = text.split(':');
  if (destination === undefined || source === '') throw bad(text, 'want host-path:container-path[:options]');
  if (rest.length > 0) throw bad(text, 'has too many colons');
  if (!/^(?:\/|\.)/.test(source)) {
    throw bad(text, 'named volumes are not supported, give a path that starts with / or ./');
  }
  const list = options.split(',').filter((option) => option !== '' && !ignored.has(option));
  for (const option of list) {
    if (!flags.has(option) && !propagations.has(option))
      throw bad(text, `unknown option ${JSON.stringify(option)}`);
  }
  return {
    type: 'bind',
    source: resolve(cwd, source),
    destination: target(text, destination),
    options: bindOptions(list),
  };
}

/** `--tmpfs /run[:size=64m,mode=1777…]`. @throws invalid_argument */
export function parseTmpfs(text: string): ContainerMount {
  const at = text.indexOf(':');
  const destination = target(text, at < 0 ? text : text.slice(0, at));
  const options =
    at < 0
      ? []
      : text
          .slice(at + 1)
          .split(',')
          .filter((option) => option !== '');
  return { type: 'tmpfs', source: 'tmpfs', destination, options: ['nosuid', 'nodev', 'noexec', ...options] };
}

/** `--mount type=bind,source=/a,target=/b,readonly`; types bind and tmpfs. @throws invalid_argument */
export function parseMount(text: string, cwd: string): ContainerMount {
  const fields = new Map<string, string>();
  for (const part of text.split(',')) {
    const at = part.indexOf('=');
    const key = (at < 0 ? part : part.slice(0, at)).trim().toLowerCase();
    fields.set(mountKeys[key] ?? key, at < 0 ? 'true' : part.slice(at + 1));
  }
  for (const key of fields.keys())
    if (!knownKeys.has(key)) throw bad(text, `unknown key ${JSON.stringify(key)}`);
  const type = fields.get('type') ?? 'volume';
  if (type === 'bind') return bindMount(text, fields, cwd);
  if (type === 'tmpfs') return tmpfsMount(text, fields);
  throw bad(text, `type ${JSON.stringify(type)} is not supported, want bind or tmpfs`);
}

const mountKeys: Readonly<Record<string, string>> = {
  src: 'source',
  dst: 'target',
  destination: 'target',
  ro: 'readonly',
};
const knownKeys = new Set([
  'type',
  'source',
  'target',
  'readonly',
  'bind-propagation',
  'tmpfs-size',
  'tmpfs-mode',
]);

function bindMount(text: string, fields: ReadonlyMap<string, string>, cwd: string): ContainerMount {
  const source = fields.get('source');
  if (source === undefined || source === '') throw bad(text, 'a bind mount needs source=');
  const propagation = fields.get('bind-propagation');
  if (propagation !== undefined && !propagations.has(propagation)) {
    throw bad(text, `unknown propagation ${JSON.stringify(propagation)}`);
  }
  const options = [
    ...(isTrue(text, fields) ? ['ro'] : []),
    ...(propagation === undefined ? [] : [propagation]),
  ];
  const destination = target(text, fields.get('target') ?? '');
  return { type: 'bind', source: resolve(cwd, source), destination, options: bindOptions(options) };
}

function tmpfsMount(text: string, fields: ReadonlyMap<string, string>): ContainerMount {
  if (fields.has('source')) throw bad(text, 'a tmpfs mount has no source');
  const size = fields.get('tmpfs-size');
  const mode = fields.get('tmpfs-mode');
  const extra = [
    ...(size === undefined ? [] : [`size=${size}`]),
    ...(mode === undefined ? [] : [`mode=${mode}`]),
  ];
  const options = ['nosuid', 'nodev', 'noexec', ...(isTrue(text, fields) ? ['ro'] : []), ...extra];
  return { type: 'tmpfs', source: 'tmpfs', destination: target(text, fields.get('target') ?? ''), options };
}

function isTrue(text: string, fields: ReadonlyMap<string, string>): boolean {
  const value = fields.get('readonly') ?? 'false';
  if (value !== 'true' && value !== 'false' && value !== '1' && value !== '0') {
    throw bad(text, `readonly is true or false, not ${JSON.stringify(value)}`);
  }
  return value === 'true' || value === '1';
}

const bad = (text: string, why: string) => invalidArgument(`invalid mount ${JSON.stringify(text)}: ${why}`);

import { messageOf } from '../../errors/error.ts';
import { parsePlatform } from '../../oci/platform.ts';
import {
  type CriRuntime,
  type ProxyPlugin,
  type ProxyType,
  proxyTypes,
  type UnpackConfig,
} from './config.ts';

/** Checks one value of a configuration file. Returns it in the shape of Config, or throws a RangeError that says what is allowed. */
export type Check<T> = (value: unknown) => T;

const refuse = (allowed: string): never => {
  throw new RangeError(`must be ${allowed}`);
};

/** A path from the root, without NUL. */
export const absolutePath =
  (maxBytes = 4095): Check<string> =>
  (value) =>
    typeof value === 'string' &&
    value.startsWith('/') &&
    !value.includes('\0') &&
    Buffer.byteLength(value) <= maxBytes
      ? value
      : refuse(`an absolute path of at most ${maxBytes} bytes`);

/** A binary: an absolute path or a name to look up in PATH; '' for the default. */
export const binary: Check<string> = (value) =>
  typeof value === 'string' && (value === '' || value.startsWith('/') || /^[\w.-]+$/.test(value))
    ? value
    : refuse('an absolute path, a name in PATH, or empty');

/** true or false. */
export const boolean: Check<boolean> = (value) =>
  typeof value === 'boolean' ? value : refuse('true or false');

/** A whole number from `min` to `max`; TOML gives large ones as bigint. */
export const integer =
  (min: number, max: number): Check<number> =>
  (value) => {
    const n = typeof value === 'bigint' ? Number(value) : value;
    return typeof n === 'number' && Number.isSafeInteger(n) && n >= min && n <= max
      ? n
      : refuse(`a whole number from ${min} to ${max}`);
  };

/** A number from `min` to `max`. */
export const fraction =
  (min: number, max: number): Check<number> =>
  (value) =>
    typeof value === 'number' && value >= min && value <= max
      ? value
      : refuse(`a number from ${min} to ${max}`);

/** One of a few words. */
export const oneOf =
  <T extends string>(...words: readonly T[]): Check<T> =>
  (value) =>
    words.find((word) => word === value) ?? refuse(`one of ${words.map((w) => `"${w}"`).join(', ')}`);

/** containerd's own words for log levels, `warning` among them; '' keeps the default. */
export const logLevel: Check<'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'> = (value) => {
  const word = oneOf('', 'trace', 'debug', 'info', 'warn', 'warning', 'error', 'fatal', 'panic')(value);
  if (word === 'warning') return 'warn';
  if (word === 'panic') return 'fatal';
  return word === '' ? 'info' : word;
};

/** `a:b` as containerd's config_path has it, or an array of paths. */
export const pathList: Check<readonly string[]> = (value) => {
  const paths = typeof value === 'string' ? value.split(':').filter((p) => p !== '') : value;
  if (!Array.isArray(paths)) return refuse('absolute paths, separated by ":" or in an array');
  return paths.map(absolutePath());
};

/** An address to listen on, `127.0.0.1:1338` or `[::1]:1338`; '' for none. */
export const hostAndPort: Check<string> = (value) => {
  const port =
    typeof value === 'string' ? /^(?:[\w.-]+|\[[0-9a-f:.]+\]):(\d{1,5})$/i.exec(value)?.[1] : undefined;
  if (value === '' || (port !== undefined && Number(port) < 65_536)) return value as string;
  return refuse('host:port, or empty');
};

/** A table of absolute paths. */
export const pathsByName: Check<Readonly<Record<string, string>>> = (value) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return refuse('a table of absolute paths');
  return Object.fromEntries(Object.entries(value).map(([name, path]) => [name, absolutePath()(path)]));
};

const pluginName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,75}$/;
/** Names that plug-ins of the daemon itself have. */
const ownNames: Readonly<Record<ProxyType, readonly string[]>> = {
  snapshot: ['overlayfs', 'native'],
  content: ['content'],
  diff: ['walking'],
  sandbox: ['shim', 'podsandbox'],
};

/** Words in an array; a word alone is one. */
export const names: Check<readonly string[]> = (value) => {
  const list = typeof value === 'string' ? [value] : value;
  if (!Array.isArray(list) || list.length === 0) return refuse('an array of names');
  return list
    .flat()
    .map((name) => (typeof name === 'string' && pluginName.test(name) ? name : refuse('an array of names')));
};

/** containerd's proxy_plugins: `{ NAME = { type = "snapshot", address = "/run/x.sock", capabilities = [], exports = {} } }`. */
export const proxyPlugins: Check<Readonly<Record<string, ProxyPlugin>>> = (value) => {
  if (!isTable(value)) return refuse('a table of plug-ins');
  const plugins = Object.entries(value).map(([name, one]): [string, ProxyPlugin] => [
    name,
    proxyPlugin(name, one),
  ]);
  if (plugins.filter(([, { type }]) => type === 'content').length > 1)
    return refuse('made of at most one plug-in with type = "content"');
  return Object.fromEntries(plugins);
};

function proxyPlugin(name: string, value: unknown): ProxyPlugin {
  const { type: wanted, address, capabilities = [], exports = {} } = isTable(value) ? value : {};
  const type = proxyTypes.find((one) => one === wanted);
  if (type === undefined) return refuse(`made of plug-ins whose type is one of ${proxyTypes.join(', ')}`);
  if (!pluginName.test(name) || ownNames[type].includes(name))
    return refuse(`made of plug-ins with other names than ${JSON.stringify(name.slice(0, 80))}`);
  if (!Array.isArray(capabilities) || !capabilities.every((one) => typeof one === 'string'))
    return refuse('made of plug-ins whose capabilities are an array of words');
  if (!isTable(exports) || !Object.values(exports).every((one) => typeof one === 'string'))
    return refuse('made of plug-ins whose exports are a table of words');
  const path = typeof address === 'string' ? address.replace(/^unix:\/\//, '') : address;
  return {
    type,
    address: absolutePath(107)(path),
    capabilities,
    exports: { ...(exports as Readonly<Record<string, string>>) },
  };
}

/** Tables of containerd's Transfer service: `[{ platform = "linux/amd64", snapshotter = "overlayfs", differ = "walking" }]`. */
export const unpackConfigs: Check<readonly UnpackConfig[]> = (value) =>
  Array.isArray(value) ? value.map(unpackConfig) : refuse('an array of tables');

function unpackConfig(value: unknown): UnpackConfig {
  const { platform = '', snapshotter = '', differ = '' } = isTable(value) ? value : { platform: 0 };
  const isName = (name: unknown): name is string =>
    typeof name === 'string' && (name === '' || pluginName.test(name));
  if (!isName(snapshotter) || !isName(differ))
    return refuse('made of tables whose snapshotter and differ are names');
  try {
    if (typeof platform === 'string') {
      if (platform !== '') parsePlatform(platform);
      return { platform, snapshotter, differ };
    }
  } catch {}
  return refuse('made of tables whose platform is one such as "linux/amd64"');
}

/** Whether a value of a TOML file is a table. */
export const isTable = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

const units: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** An absolute path, or '' for the default. */
export const optionalPath =
  (maxBytes = 4095): Check<string> =>
  (value) =>
    value === '' ? '' : absolutePath(maxBytes)(value);

/** Where to listen on this machine: a path (`unix://` is allowed before it), port of a loopback address, or '' for nowhere. */
export const listenAddress: Check<string> = (value) => {
  if (typeof value === 'string' && /^(unix:\/\/)?\//.test(value))
    return absolutePath(107)(value.replace(/^unix:\/\//, ''));
  const isLocal = typeof value === 'string' && /^(localhost|127(\.\d{1,3}){3}|\[::1\]):\d+$|^$/.test(value);
  return isLocal ? hostAndPort(value) : refuse('an absolute path, 127.0.0.1:port of this machine, or empty');
};

/** Plug-ins by their full names; containerd's own check. */
export const pluginUris: Check<readonly string[]> = (value) =>
  Array.isArray(value) && value.every((one) => typeof one === 'string' && one.includes('.'))
    ? value
    : refuse('an array of full plug-in names such as "io.containerd.grpc.v1.cri"');

/** Settings of an environment: `["KEY=value"]`. */
export const environment: Check<readonly string[]> = (value) =>
  Array.isArray(value) &&
  value.length <= 256 &&
  value.every((one) => typeof one === 'string' && /^[A-Za-z_]\w*=[^\0]{0,4096}$/.test(one))
    ? value
    : refuse('an array of at most 256 words such as "KEY=value"');

/** The CRI's table of runtimes. */
export const criRuntimes: Check<Readonly<Record<string, CriRuntime>>> = (value) => {
  if (!isTable(value)) return refuse('a table of runtimes');
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, criRuntime(name, one)]));
};

function criRuntime(name: string, value: unknown): CriRuntime {
  if (!isTable(value)) return refuse('made of tables');
  const { runtime_type: type = '', runtime_path: path = '', options = {}, ...rest } = value;
  const of = `runtimes.${name}`;
  if (typeof type !== 'string') return refuse(`made of runtimes with names as types (${of}.runtime_type)`);
  if (!isTable(options)) return refuse(`made of runtimes with tables as options (${of}.options)`);
  if (path !== '' && !(typeof path === 'string' && path.startsWith('/')))
    return refuse(`made of runtimes with absolute paths (${of}.runtime_path)`);
  try {
    binary(options.BinaryName ?? '');
  } catch (error) {
    return refuse(`made of runtimes with programs (${of}.options.BinaryName ${messageOf(error)})`);
  }
  return { ...rest, runtime_type: type, runtime_path: path as string, options: { ...options } };
}

/** A Go duration such as `100ms` or `1m30s`, in milliseconds, up to 24 days: what a timer can wait. */
export const durationMs: Check<number> = (value) => {
  const allowed = 'a duration such as "100ms" or "1m30s", at most "576h"';
  if (value === 0 || value === 0n || value === '0') return 0;
  if (typeof value !== 'string' || !/^(\d{1,12}(\.\d{1,9})?(ns|us|µs|ms|s|m|h))+$/.test(value))
    return refuse(allowed);
  const parts = value.matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g);
  const total = [...parts].reduce((sum, [, n, unit]) => sum + Number(n) * (units[unit ?? ''] ?? 0), 0);
  return total <= 24 * 86_400_000 ? total : refuse(allowed);
};

/** Options of overlays beside those that name directories. */
export const overlayOptions: Check<readonly string[]> = (value) =>
  Array.isArray(value) &&
  value.length <= 32 &&
  value.every(
    (one) => typeof one === 'string' && /^(?!(?:lower|upper|work)dir)[a-z_]+(?:=[\w./-]{1,64})?$/.test(one),
  )
    ? value
    : refuse('an array of at most 32 mount options, without lowerdir, upperdir and workdir');

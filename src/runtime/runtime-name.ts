import { existsSync, realpathSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { invalidArgument, notFound } from '../errors/error.ts';
import type { Any } from '../oci/any.ts';
import { withDefaultRuntime } from './default-runtime.ts';

/** The runtime that berth-shim stands for, under containerd's name. */
export const runcRuntime = 'io.containerd.runc.v2';

/** berth-shim as other daemons start it; named here, it is the daemon's own shim. */
const ownLauncher = 'containerd-shim-berth-v2';

/**
 * The program of a runtime's shim, undefined where that is berth-shim: for '' and io.containerd.runc.v2, unless `runtimes`
 * names another. A path is the program itself; `io.containerd.NAME.vN` is `containerd-shim-NAME-vN` in `searchPath`.
 * @throws invalid_argument (not a name), not_found (no such program), in containerd's words
 */
export function shimProgramOf(
  name: string,
  runtimes: Readonly<Record<string, string>>,
  searchPath: string,
): string | undefined {
  const configured = Object.hasOwn(runtimes, name) ? runtimes[name] : undefined;
  if (configured !== undefined) return existing(configured);
  if (name === '' || name === runcRuntime) return undefined;
  if (name.startsWith('/')) return isOwn(existing(name)) ? undefined : name;
  const binary = binaryName(name);
  if (binary === ownLauncher) return undefined;
  const found = searchPath
    .split(delimiter)
    .map((dir) => join(dir, binary))
    .find((path) => path.startsWith('/') && existsSync(path));
  if (found === undefined) throw notFound(`runtime "${name}" binary not installed "${binary}"`);
  return found;
}

function existing(path: string): string {
  if (existsSync(path)) return path;
  throw notFound(`invalid custom binary path: stat ${path}: no such file or directory`);
}

function binaryName(name: string): string {
  const [family = '', version = ''] = name.split('.').slice(-2);
  if (family !== '' && version !== '' && !name.includes('/')) return `containerd-shim-${family}-${version}`;
  throw invalidArgument(
    `invalid runtime name ${name}, correct runtime name should be either format like \`${runcRuntime}\` or a full path to the binary`,
  );
}

function isOwn(path: string): boolean {
  if (basename(path) !== ownLauncher) return false;
  const own = fileURLToPath(new URL(`../../bin/${ownLauncher}`, import.meta.url));
  return existsSync(own) && realpathSync(path) === realpathSync(own);
}

/**
 * A runtime as people name it to docker and nerdctl: `io.containerd.runc.v2` and `/bin/containerd-shim-runc-v2` are shims,
 * anything else (`crun`, `/opt/bin/runc`) an OCI runtime's program, which the default shim is to run. Options that name a
 * program win.
 */
export function namedRuntime(
  name: string,
  options?: Any,
): { runtime: string; runtimeOptions: Any | undefined } {
  const isShim = name === '' || /\.v\d+$/.test(name) || /^\/.*\/containerd-shim-[^/]+$/.test(name);
  if (isShim) return { runtime: name, runtimeOptions: options };
  return { runtime: runcRuntime, runtimeOptions: withDefaultRuntime(options, name) };
}

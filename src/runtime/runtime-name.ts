import { invalidArgument, notFound, notImplemented } from '../errors/error.ts';
import type { Any } from '../oci/any.ts';
import { withDefaultRuntime } from './default-runtime.ts';

/** The runtime that berth-shim stands for, under containerd's name. */
export const runcRuntime = 'io.containerd.runc.v2';

/**
 * Refuses runtimes whose shim is not berth-shim, in containerd's words; '' is the default runtime.
 * @throws invalid_argument (not a name), not_found (no shim of that name), not_implemented (path of a shim)
 */
export function checkRuntime(name: string): void {
  if (name === '' || name === runcRuntime) return;
  if (name.startsWith('/')) throw notImplemented(`runtime ${name}: shims of others are not run yet`);
  const [family = '', version = ''] = name.split('.').slice(-2);
  if (family === '' || version === '') {
    throw invalidArgument(
      `invalid runtime name ${name}, correct runtime name should be either format like \`${runcRuntime}\` or a full path to the binary`,
    );
  }
  throw notFound(`runtime "${name}" binary not installed "containerd-shim-${family}-${version}"`);
}

/**
 * A runtime as people name it to docker and nerdctl: `io.containerd.runc.v2` is a shim, anything that does not end in a
 * version (`crun`, `/opt/bin/runc`) an OCI runtime's program, which the default shim is to run. Options that name a program win.
 */
export function namedRuntime(
  name: string,
  options?: Any,
): { runtime: string; runtimeOptions: Any | undefined } {
  if (name === '' || /\.v\d+$/.test(name)) return { runtime: name, runtimeOptions: options };
  return { runtime: runcRuntime, runtimeOptions: withDefaultRuntime(options, name) };
}

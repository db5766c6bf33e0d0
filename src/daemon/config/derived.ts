import { join } from 'node:path';
import type { Config } from './config.ts';

/** Shims' programs by runtime name: those of `berth.runtimes`, and those that the CRI's runtimes name. */
export function shimPrograms({ runtimes, criRuntimes }: Config): Readonly<Record<string, string>> {
  const named = Object.values(criRuntimes).filter(({ runtime_path: path }) => path !== '');
  const paths = named.map(({ runtime_type: type, runtime_path: path }) => [type, path] as const);
  return { ...Object.fromEntries(paths), ...runtimes };
}

/** The OCI runtime of tasks that name none: Berth's own key, or the program of the CRI's default runtime; '' for Berth's choice. */
export function defaultOciRuntime({ ociRuntime, criRuntimes, criDefaultRuntime }: Config): string {
  const runtime = Object.hasOwn(criRuntimes, criDefaultRuntime) ? criRuntimes[criDefaultRuntime] : undefined;
  if (ociRuntime !== '' || runtime === undefined) return ociRuntime;
  const program = runtime.options.BinaryName;
  const isRunc = runtime.runtime_type === '' || runtime.runtime_type === 'io.containerd.runc.v2';
  return isRunc && typeof program === 'string' ? program : '';
}

/** Where the ttrpc socket is. */
export const ttrpcAddress = ({
  address,
  ttrpcAddress: own,
}: Pick<Config, 'address' | 'ttrpcAddress'>): string => own || `${address}.ttrpc`;

/** What `ctr install` unpacks to. */
export const optDirectory = ({ root, optPath }: Pick<Config, 'root' | 'optPath'>): string =>
  optPath || join(root, 'opt');

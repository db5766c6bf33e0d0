import { getSystemErrorMessage } from 'node:util';
import { SysError, unknown } from '../errors/error.ts';
import type { Mount } from '../sys/mount.ts';
import { parseMountOptions } from '../sys/mount-options.ts';

/** A failed system call in the C library's words, `no such file or directory`. */
export function errorWords(error: unknown): string {
  const sys = sysErrorOf(error);
  if (sys === undefined) return error instanceof Error ? error.message : String(error);
  if (sys.code === 'EBUSY') return 'device or resource busy';
  return getSystemErrorMessage(-Math.abs(sys.errno));
}

export function sysErrorOf(error: unknown): SysError | undefined {
  for (let e: unknown = error; e instanceof Error; e = e.cause) if (e instanceof SysError) return e;
  return undefined;
}

/** A mount as containerd prints it. */
export const mountText = ({ type, source, target = '', options }: Mount): string =>
  `{${type} ${source} ${target} [${options.join(' ')}]}`;

/** A mount that failed, in containerd's words. What is no failed system call goes through. */
export function mountFailure(mount: Mount, target: string, error: unknown): unknown {
  if (sysErrorOf(error) === undefined) return error;
  const { flags, data } = parseMountOptions(mount.options);
  const [from, to, text] = [mount.source, target, data.join(',')].map((word) => JSON.stringify(word));
  const what = `mount source: ${from}, target: ${to}, fstype: ${mount.type}, flags: ${flags}, data: ${text}`;
  return unknown(`mount failed ${mountText(mount)}: ${what}, err: ${errorWords(error)}`, error);
}

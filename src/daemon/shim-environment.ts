import { join } from 'node:path';
import type { Config } from './config/config.ts';
import { optDirectory } from './config/derived.ts';

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * What of the daemon's environment its shim, OCI runtimes and hooks get (CVE-2026-57231): a path to find them by, with the
 * programs of `ctr install` first, where compiled code is kept, and what the configuration gives them.
 */
export function shimEnvironment(
  config: Pick<Config, 'root' | 'optPath' | 'shimEnv'>,
): Record<string, string> {
  const { PATH = defaultPath, NODE_COMPILE_CACHE } = process.env;
  const opt = optDirectory(config);
  const given = config.shimEnv.map((one) => [
    one.slice(0, one.indexOf('=')),
    one.slice(one.indexOf('=') + 1),
  ]);
  return {
    ...(NODE_COMPILE_CACHE ? { NODE_COMPILE_CACHE } : {}),
    PATH: `${join(opt, 'bin')}:${PATH}`,
    LD_LIBRARY_PATH: join(opt, 'lib'),
    ...(Object.fromEntries(given) as Record<string, string>),
  };
}

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What of the daemon's environment its shim, OCI runtimes and hooks get (CVE-2026-57231): a path to find them by, and where compiled code is kept. */
export function shimEnvironment(): Record<string, string> {
  const { PATH = defaultPath, NODE_COMPILE_CACHE } = process.env;
  return NODE_COMPILE_CACHE ? { PATH, NODE_COMPILE_CACHE } : { PATH };
}

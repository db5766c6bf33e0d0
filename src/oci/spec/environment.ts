import { invalidArgument } from '../../errors/error.ts';

const defaultPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The image's entries, then the caller's, last one wins; PATH always, TERM on a terminal, HOME and HOSTNAME when known.
 * Image entries that are not `NAME=value` are dropped: a bare name must never pull in the daemon's own value
 * (CVE-2026-57231). @throws invalid_argument when one of the caller's is not `NAME=value`
 */
export function environmentFor(options: {
  readonly image: readonly string[];
  readonly own: readonly string[];
  readonly terminal: boolean;
  readonly hostname?: string;
  readonly home?: string | undefined;
}): string[] {
  const base = [defaultPath, ...(options.terminal ? ['TERM=xterm'] : [])];
  const hostname = options.hostname === undefined ? [] : [`HOSTNAME=${options.hostname}`];
  const home = options.home === undefined ? [] : [`HOME=${options.home}`];
  return mergeEnvironment([...base, ...hostname, ...home, ...options.image.filter(isEntry)], options.own);
}

/** Adds entries to an environment in place of those of the same name. @throws invalid_argument */
export function mergeEnvironment(base: readonly string[], own: readonly string[]): string[] {
  const bad = own.find((entry) => !isEntry(entry));
  if (bad !== undefined)
    throw invalidArgument(`environment ${JSON.stringify(bad.slice(0, 30))}: want NAME=value`);
  const values = new Map([...base, ...own].map((entry) => [nameOf(entry), entry]));
  return [...values.values()];
}

const isEntry = (entry: string): boolean => /^[^=\0\s][^=\0]*=[^\0]*$/.test(entry);
const nameOf = (entry: string): string => entry.slice(0, entry.indexOf('='));

import { posix } from 'node:path';
import { invalidArgument } from '../../errors/error.ts';

export interface CommandOptions {
  readonly image: { readonly entrypoint: readonly string[]; readonly cmd: readonly string[] };
  /** Replaces Cmd when not empty. */
  readonly args: readonly string[];
  /** Replaces Entrypoint and drops Cmd; '' means no entrypoint. */
  readonly entrypoint?: string | undefined;
}

/** What to execute, as Docker combines it. @throws invalid_argument (nothing to run, NUL) */
export function commandFor({ image, args, entrypoint }: CommandOptions): string[] {
  const first = entrypoint === undefined ? image.entrypoint : entrypoint === '' ? [] : [entrypoint];
  const rest = args.length > 0 ? args : entrypoint === undefined ? image.cmd : [];
  return checkedArgs([...first, ...rest]);
}

/** @throws invalid_argument (empty, NUL) */
export function checkedArgs(args: readonly string[]): string[] {
  if (args.length === 0 || args[0] === '')
    throw invalidArgument('no command: neither the image nor the caller names one');
  if (args.some((arg) => arg.includes('\0'))) throw invalidArgument('command: NUL in an argument');
  return [...args];
}

const magicLinks =
  /^\/(?:proc\/(?:self|thread-self|\d+)(?:\/task\/\d+)?\/(?:fd|cwd|root|map_files)|dev\/fd)(?:\/|$)/;

/**
 * An absolute, clean working directory; relative ones start at `/`.
 * @throws invalid_argument NUL, over 4096 characters, or through a link to an open file (CVE-2024-21626)
 */
export function workingDirFor(text: string): string {
  if (text.includes('\0') || text.length > 4096) throw invalidArgument('invalid working directory');
  const clean = posix.resolve('/', text);
  if (magicLinks.test(clean)) throw invalidArgument(`working directory ${clean.slice(0, 100)} is refused`);
  return clean;
}

import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, invalidArgument } from '../errors/error.ts';
import { type HostStream, isHostStream } from './criu-streams.ts';
import type { CheckpointOptions } from './runtime-options.ts';

/** What a restore must know of its checkpoint and criu's images do not tell; kept beside them. */
export interface CheckpointNotes {
  readonly streams: readonly HostStream[];
  /** What was said to the runtime and must be said to it again. */
  readonly flags: readonly string[];
}

const notesFile = 'berth.json';
const maxBytes = 4096;
const maxFlags = 16;

/** What of the options the restore needs too, as runc and crun call it. */
export function sharedFlags(options: CheckpointOptions): string[] {
  const flags: string[] = [];
  if (options.openTcp) flags.push('--tcp-established');
  if (options.externalUnixSockets) flags.push('--ext-unix-sk');
  if (options.terminal) flags.push('--shell-job');
  if (options.fileLocks) flags.push('--file-locks');
  for (const name of options.emptyNamespaces) flags.push(`--empty-ns=${name}`);
  return flags;
}

const isFlag = (flag: unknown): flag is string =>
  typeof flag === 'string' &&
  /^--(tcp-established|ext-unix-sk|shell-job|file-locks|empty-ns=[a-z]{1,16})$/.test(flag);

export const saveNotes = (imageDir: string, notes: CheckpointNotes): void =>
  writeFileSync(join(imageDir, notesFile), JSON.stringify(notes), { mode: 0o600 });

/** None where others made the images: their streams were pipes, which the runtime knows by itself. @throws invalid_argument */
export function readNotes(imageDir: string): CheckpointNotes {
  const path = join(imageDir, notesFile);
  try {
    if (statSync(path).size > maxBytes) throw invalidArgument('notes of the checkpoint are too long');
    const { streams, flags } = JSON.parse(readFileSync(path, 'utf8')) as Partial<CheckpointNotes>;
    if (isList(streams, 3, isHostStream) && isList(flags, maxFlags, isFlag)) return { streams, flags };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { streams: [], flags: [] };
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw invalidArgument('notes of the checkpoint are malformed');
}

const isList = <T>(value: unknown, max: number, holds: (item: unknown) => item is T): value is T[] =>
  Array.isArray(value) && value.length <= max && value.every(holds);

import { fstatSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, failedPrecondition } from '../errors/error.ts';
import type { RuntimeStdio } from './stdio.ts';

/**
 * A container's standard streams are FIFOs and files of the host, which are in no mount that criu saves. criu(8) calls
 * them external: it writes down a key of each, and at a restore takes the descriptor that is named for the key. runc and
 * crun can tell criu so only through its configuration file, which an annotation of the container names (runc 1.0,
 * libcontainer's criu_linux.go).
 */
const annotation = 'org.criu.config';

const configPath = (bundle: string): string => join(bundle, 'criu.conf');

/** Names the configuration file in a runtime specification, unless the container's maker has named another. */
export function withCriuConfig<T extends { readonly annotations?: unknown }>(spec: T, bundle: string): T {
  const annotations = (spec.annotations ?? {}) as Readonly<Record<string, string>>;
  return { ...spec, annotations: { [annotation]: configPath(bundle), ...annotations } };
}

/** A standard stream that is the host's. */
export interface HostStream {
  readonly fd: number;
  /** criu's, `file[<mount>:<inode>]`. */
  readonly key: string;
  /** criu puts only a file of the same type in its place. */
  readonly type: 'file' | 'fifo' | 'other';
}

/** Tells criu which of a process's standard streams are the host's. */
export function nameStreams(bundle: string, pid: number): HostStream[] {
  const own = mountIds(pid);
  const streams = [0, 1, 2].map((fd) => hostStream(pid, fd, own)).filter((stream) => stream !== undefined);
  const lines = new Set(streams.map(({ key }) => `external ${key}\n`));
  writeFileSync(configPath(bundle), [...lines].join(''), { mode: 0o600 });
  return streams;
}

/**
 * Tells criu which descriptors take the place of the streams that it saved.
 * @param given what the runtime gets as its standard streams
 * @throws failed_precondition (one of another type is given)
 */
export function giveStreams(bundle: string, streams: readonly HostStream[], given: RuntimeStdio): void {
  const odd = streams.find(({ fd, type }) => type !== typeOfFd(given[fd]));
  if (odd !== undefined)
    throw failedPrecondition(`stream ${odd.fd} of the checkpoint is a ${odd.type}: restore it with another`);
  const lines = streams.map(({ fd, key }) => `inherit-fd fd[${fd}]:${key}\n`);
  // Whoever makes a FIFO gives it permissions of his own.
  const text = lines.length === 0 ? '' : `skip-file-rwx-check\n${lines.join('')}`;
  writeFileSync(configPath(bundle), text, { mode: 0o600 });
}

/** Whether it is one whose key is as criu prints them: criu's configuration gets nothing else. */
export function isHostStream(value: unknown): value is HostStream {
  const { fd, key, type } = Object(value) as Partial<Record<keyof HostStream, unknown>>;
  const isKey = typeof key === 'string' && /^file\[[0-9a-f]{1,8}:[0-9a-f]{1,16}\]$/.test(key);
  return isKey && [0, 1, 2].includes(fd as number) && ['file', 'fifo', 'other'].includes(type as string);
}

const typeOf = (file: { isFile(): boolean; isFIFO(): boolean }): HostStream['type'] =>
  file.isFile() ? 'file' : file.isFIFO() ? 'fifo' : 'other';

const typeOfFd = (fd: number | 'ignore' | undefined): HostStream['type'] =>
  typeof fd === 'number' ? typeOf(fstatSync(fd)) : 'other';

function hostStream(pid: number, fd: number, own: ReadonlySet<string>): HostStream | undefined {
  const path = `/proc/${pid}/fd/${fd}`;
  try {
    // Pipes, sockets and the like have no path; a runtime tells criu of the pipes.
    if (!readlinkSync(path).startsWith('/')) return undefined;
    const mountId = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1] ?? '';
    if (mountId === '' || own.has(mountId)) return undefined;
    const file = statSync(path, { bigint: true });
    const key = `file[${Number(mountId).toString(16)}:${file.ino.toString(16)}]`;
    return { fd, key, type: typeOf(file) };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

const mountIds = (pid: number): ReadonlySet<string> =>
  new Set(
    // As bytes: Node 26.10, asked for UTF-8, writes past its buffer where a mount has a line of tens of kilobytes.
    readFileSync(`/proc/${pid}/mountinfo`)
      .toString()
      .split('\n')
      .map((line) => line.split(' ')[0] ?? ''),
  );

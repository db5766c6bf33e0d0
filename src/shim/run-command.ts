import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { notFound, unknown } from '../errors/error.ts';

/** Pids that Node itself waits for: the reaper must leave them alone. */
export const nodeChildren = new Set<number>();

/** Bytes of a command's output that are kept. */
const maxOutputBytes = 1024 * 1024;

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  /** File descriptors of stdin, stdout, stderr; default: null device, and output kept for {@link Finished}. */
  readonly stdio?: readonly [number | 'ignore', number | 'ignore', number | 'ignore'];
  readonly cwd?: string;
  /** SIGKILL after this long. */
  readonly timeoutMs: number;
}

export interface Finished {
  /** Exit code, or 128 + signal number's stand-in 137 when killed. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

/** Only these reach a runtime, its hooks and what they start (CVE-2026-57231: no host environment in containers). */
const environment = (): NodeJS.ProcessEnv => {
  const kept: NodeJS.ProcessEnv = {
    PATH: process.env.PATH ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  };
  for (const name of ['LANG', 'DBUS_SESSION_BUS_ADDRESS', 'XDG_RUNTIME_DIR']) {
    if (process.env[name] !== undefined) kept[name] = process.env[name];
  }
  return kept;
};

/** Runs a command to its end. @throws not_found in the words of Go's os/exec when there is no such file */
export async function runCommand(command: Command): Promise<Finished> {
  const child = spawn(command.file, [...command.args], {
    stdio: stdioOf(command),
    env: environment(),
    ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
  });
  if (child.pid !== undefined) nodeChildren.add(child.pid);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGKILL');
  }, command.timeoutMs);
  try {
    const [code, stdout, stderr] = await Promise.all([
      exitOf(child, command.file),
      textOf(child.stdout, child),
      textOf(child.stderr, child),
    ]);
    return { code, stdout, stderr, timedOut };
  } finally {
    clearTimeout(timer);
    if (child.pid !== undefined) nodeChildren.delete(child.pid);
  }
}

const stdioOf = ({ stdio }: Command): StdioOptions =>
  stdio === undefined ? ['ignore', 'pipe', 'pipe'] : [...stdio];

function exitOf(child: ChildProcess, file: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once('error', (error: NodeJS.ErrnoException) => reject(startError(error, file)));
  child.once('exit', (code) => resolve(code ?? 137));
  return promise;
}

function startError(error: NodeJS.ErrnoException, file: string): Error {
  if (error.code === 'ENOENT' && !file.includes('/'))
    return notFound(`exec: "${file}": executable file not found in $PATH`, error);
  if (error.code === 'ENOENT') return notFound(`fork/exec ${file}: no such file or directory`, error);
  return unknown(
    `fork/exec ${file}: ${error.code === 'EACCES' ? 'permission denied' : error.message}`,
    error,
  );
}

/**
 * The output of a stream until its end; but a grandchild may hold a pipe open for ever, so no longer than a moment
 * after the child itself is gone.
 */
function textOf(stream: NodeJS.ReadableStream | null, child: ChildProcess): Promise<string> {
  if (stream === null) return Promise.resolve('');
  const chunks: Buffer[] = [];
  let bytes = 0;
  const { promise, resolve } = Promise.withResolvers<string>();
  const finish = () => resolve(Buffer.concat(chunks).toString());
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= maxOutputBytes) chunks.push(chunk);
  });
  stream.on('end', finish).on('error', finish);
  child.once('exit', () => setTimeout(finish, 1000).unref());
  child.once('error', finish);
  return promise;
}

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, notFound, unknown } from '../errors/error.ts';
import { findProcess } from '../sys/process.ts';
import type { OwnFifo } from './own-fifo.ts';
import { type WatchedProcess, watchProcess } from './reaper.ts';
import { nodeChildren } from './run-command.ts';
import type { StdioPlace } from './stdio.ts';
import { uriPath, uriQuery } from './stdio-uri.ts';

/** How long a logger may take to say that it reads, and to end after it was asked to. */
const readyMs = 10_000;
const endMs = 12_000;
const endedMs = 10;

/**
 * A logging program (`binary:///path?arg=value`, containerd's contract): it reads stdout from descriptor 3 and stderr
 * from 4, says by closing 5 that it is ready, and ends when both have. It outlives the shim; the next one leaves it be.
 */
export class Logger {
  readonly ended: Promise<void>;
  readonly ready: Promise<void>;
  readonly #file: string;
  readonly #pid: number;

  constructor(uri: string, stdout: OwnFifo | undefined, stderr: OwnFifo | undefined, place: StdioPlace) {
    this.#file = `${place.prefix}logger.json`;
    const running = findLogger(this.#file);
    if (running !== undefined) {
      this.#pid = running.pid;
      this.ready = Promise.resolve();
      this.ended = running.exited.then(() => {});
      return;
    }
    const child = startLogger(uri, stdout, stderr, place);
    this.#pid = child.pid ?? 0;
    this.ended = exited(child);
    this.ready = becomesReady(child, uriPath(uri));
    this.ready.catch(() => {});
    if (child.pid !== undefined) writeLogger(this.#file, child.pid);
  }

  /** Has it end by itself once it read everything; after a while it is ended. */
  stop(): void {
    rmSync(this.#file, { force: true });
    if (this.#pid === 0) return;
    const timers = [
      setTimeout(() => this.#signal('SIGTERM'), endMs).unref(),
      setTimeout(() => this.#signal('SIGKILL'), 2 * endMs).unref(),
    ];
    void this.ended.then(() => timers.forEach(clearTimeout));
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      process.kill(this.#pid, signal);
    } catch {
      // It has ended.
    }
  }
}

function startLogger(
  uri: string,
  stdout: OwnFifo | undefined,
  stderr: OwnFifo | undefined,
  { namespace, id }: StdioPlace,
): ChildProcess {
  // containerd's: each name with its first value, '' where it has none.
  const args = [...new Map(uriQuery(uri).reverse())].reverse().flat();
  const readers = [stdout, stderr].map((fifo) => fifo?.openReader() ?? 'ignore');
  try {
    const child = spawn(uriPath(uri), args, {
      stdio: ['ignore', 'ignore', 'ignore', ...readers, 'pipe'],
      env: { PATH: process.env.PATH, CONTAINER_ID: id, CONTAINER_NAMESPACE: namespace },
      detached: true,
      cwd: '/',
    });
    if (child.pid !== undefined) nodeChildren.add(child.pid);
    return child;
  } finally {
    for (const reader of readers) if (reader !== 'ignore') closeSync(reader);
  }
}

async function exited(child: ChildProcess): Promise<void> {
  await once(child, 'exit').catch(() => {});
  if (child.pid !== undefined) nodeChildren.delete(child.pid);
}

/** Descriptor 5 is closed, or written to. @throws not_found, unknown (it ended, or said nothing for too long) */
async function becomesReady(child: ChildProcess, path: string): Promise<void> {
  const sign = (child.stdio as readonly unknown[])[5] as Duplex | null;
  try {
    if (child.pid === undefined) await once(child, 'spawn');
    if (sign === null) throw unknown('no descriptor 5');
    sign.resume();
    await once(sign, 'end', { signal: AbortSignal.timeout(readyMs) });
    // One that has ended has closed it as well.
    await sleep(endedMs);
    if (child.exitCode !== null || child.signalCode !== null) throw unknown('it ended at once');
  } catch (error) {
    child.kill('SIGKILL');
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw missing ? notFound(`logger ${path}`, error) : unknown(`logger ${path}: ${messageOf(error)}`, error);
  } finally {
    sign?.destroy();
  }
}

function writeLogger(file: string, pid: number): void {
  writeFileSync(file, JSON.stringify({ pid, startTicks: String(findProcess(pid)?.startTicks ?? 0) }));
}

/** The one that an earlier shim started for these streams. */
function findLogger(file: string): WatchedProcess | undefined {
  try {
    const { pid, startTicks } = JSON.parse(readFileSync(file, 'utf8')) as { pid: number; startTicks: string };
    return watchProcess(pid, BigInt(startTicks));
  } catch {
    return undefined;
  }
}

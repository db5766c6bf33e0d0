import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, notFound, unknown } from '../errors/error.ts';
import { unreadBytes } from '../sys/fifo.ts';
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
/** From the end of one to the start of the next; each that is not ready doubles it. */
const firstDelayMs = 500;
const lastDelayMs = 30_000;

/**
 * A logging program (`binary:///path?arg=value`, containerd's contract): it reads stdout from descriptor 3 and stderr
 * from 4, says by closing 5 that it is ready, and ends when both have. One that ends before is started again (nerdctl's ends with
 * the daemon): what is written meanwhile waits. It outlives the shim; the next one leaves it be.
 */
export class Logger {
  /** The first one is. */
  readonly ready: Promise<void>;
  /** It has ended and will not be started again. */
  readonly ended: Promise<void>;
  readonly #file: string;
  readonly #start: () => ChildProcess;
  readonly #fifos: readonly (OwnFifo | undefined)[];
  readonly #settle: () => void;
  #pid = 0;
  /** Nothing more is written. */
  #isFinal = false;
  #isStopped = false;
  #delayMs = firstDelayMs;
  #timer: NodeJS.Timeout | undefined;

  constructor(uri: string, stdout: OwnFifo | undefined, stderr: OwnFifo | undefined, place: StdioPlace) {
    this.#file = `${place.prefix}logger.json`;
    this.#start = () => startLogger(uri, stdout, stderr, place);
    this.#fifos = [stdout, stderr];
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#settle = resolve;
    const running = findLogger(this.#file);
    if (running === undefined) {
      this.ready = becomesReady(this.#run(), uriPath(uri));
      this.ready.catch(() => {});
      return;
    }
    this.ready = Promise.resolve();
    this.#watch(running.pid, running.exited);
  }

  /** Whose output it reads has ended: it is started again for what is left only. */
  finish(): void {
    this.#isFinal = true;
  }

  /** Has it end by itself once it read everything; after a while it is ended. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#isStopped = true;
    rmSync(this.#file, { force: true });
    if (this.#pid === 0) {
      this.#settle();
      return;
    }
    const timers = [
      setTimeout(() => this.#signal('SIGTERM'), endMs).unref(),
      setTimeout(() => this.#signal('SIGKILL'), 2 * endMs).unref(),
    ];
    void this.ended.then(() => timers.forEach(clearTimeout));
  }

  #run(): ChildProcess {
    const child = this.#start();
    if (child.pid !== undefined) writeLogger(this.#file, child.pid);
    this.#watch(child.pid ?? 0, exited(child));
    return child;
  }

  #watch(pid: number, exit: Promise<unknown>): void {
    this.#pid = pid;
    void exit.then(() => {
      this.#pid = 0;
      if (this.#isStopped || (this.#isFinal && !this.#isUnread())) this.#settle();
      else this.#again();
    });
  }

  #isUnread(): boolean {
    return this.#fifos.some((fifo) => fifo?.held !== undefined && unreadBytes(fifo.held) > 0);
  }

  #again(): void {
    this.#timer = setTimeout(() => {
      try {
        becomesReady(this.#run(), this.#file).then(
          () => {
            this.#delayMs = firstDelayMs;
          },
          () => {},
        );
      } catch {
        this.#again(); // no descriptors, say
      }
    }, this.#delayMs).unref();
    this.#delayMs = Math.min(this.#delayMs * 2, lastDelayMs);
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

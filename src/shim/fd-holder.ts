import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { unavailable } from '../errors/error.ts';
import { Pidfd } from '../sys/pidfd.ts';
import { findProcess } from '../sys/process.ts';
import { setSendBuffer, socketPair } from '../sys/unix-socket.ts';
import { FdQueue } from './fd-queue.ts';
import { nodeChildren } from './run-command.ts';

/** Queues, so that taking one descriptor out disturbs few others. */
const queues = 16;
/** Longest sleep that every sleep(1) takes: 68 years. */
const forEver = '2147483647';
/** Thousands of messages of a few hundred bytes. */
const queueBytes = 4 * 1024 * 1024;

/**
 * A tiny process (`sleep`, 0.1 MB) whose only purpose is to have sockets open: descriptors on their way between the
 * two ends of a socket live on when the shim is killed, and the next shim takes the sockets over by pidfd_getfd(2).
 */
export class FdHolder implements Disposable {
  readonly queues: readonly FdQueue[];
  #watch: DisposableStack | undefined;
  readonly #pid: number;
  readonly #file: string;

  private constructor(file: string, pid: number, held: readonly FdQueue[]) {
    this.#file = file;
    this.#pid = pid;
    this.queues = held;
  }

  /** The one that an earlier shim wrote down in `file`; undefined where it is gone. */
  static find(file: string): FdHolder | undefined {
    const written = readWritten(file);
    if (written === undefined) return undefined;
    using pidfd = Pidfd.open(written.pid);
    if (pidfd === undefined || String(findProcess(written.pid)?.startTicks) !== written.startTicks)
      return undefined;
    const take = (fd: number) => pidfd.takeFd(fd);
    const held = Array.from({ length: queues }, (_, i) => new FdQueue([take(2 * i), take(2 * i + 1)]));
    return new FdHolder(file, written.pid, held);
  }

  /** @throws unavailable (no sleep(1)) */
  static start(file: string): FdHolder {
    const held = Array.from({ length: queues }, () => new FdQueue(socketPair()));
    for (const { ends } of held) setSendBuffer(ends[0], queueBytes);
    // The file is open in it, so that whoever looks for users of the state directory finds it.
    const mark = openSync(file, 'w', 0o600);
    const stdio = [...held.flatMap(({ ends }) => ends.map(({ fd }) => fd)), mark];
    const process = spawn('sleep', [forEver], { stdio, detached: true, cwd: '/', env: environment() });
    process.on('error', () => {});
    const { pid } = process;
    if (pid === undefined) throw unavailable('cannot start sleep, which keeps descriptors');
    nodeChildren.add(pid);
    process.once('exit', () => nodeChildren.delete(pid));
    process.unref();
    writeSync(mark, JSON.stringify({ pid, startTicks: String(findProcess(pid)?.startTicks) }));
    closeSync(mark);
    return new FdHolder(file, pid, held);
  }

  /** The queue that entries of this key are in. */
  queueOf(key: string): FdQueue {
    const queue = this.queues[hashOf(key) % this.queues.length];
    if (queue === undefined) throw unavailable('no queue for descriptors');
    return queue;
  }

  /** Calls once when the process is gone, and with it what it held; not after disposal. */
  watch(onEnd: () => void): void {
    const pidfd = Pidfd.open(this.#pid);
    if (pidfd === undefined) {
      onEnd();
      return;
    }
    const poll = pidfd.watch(onEnd);
    poll.unref();
    this.#watch = new DisposableStack();
    this.#watch.use(pidfd);
    this.#watch.use(poll);
  }

  /** Ends it: nothing is held any more. */
  stop(): void {
    using pidfd = Pidfd.open(this.#pid);
    pidfd?.signal(9);
    rmSync(this.#file, { force: true });
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#watch?.dispose();
    for (const queue of this.queues) queue[Symbol.dispose]();
  }
}

function hashOf(key: string): number {
  let hash = 0;
  for (let i = 0; i < key.length; i++) hash = (hash * 31 + key.charCodeAt(i)) >>> 0;
  return hash;
}

const environment = () => ({ PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin' });

function readWritten(file: string): { pid: number; startTicks: string } | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as { pid: number; startTicks: string };
  } catch {
    return undefined;
  }
}

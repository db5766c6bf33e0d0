import type { Log } from '../async/context.ts';
import { messageOf } from '../errors/error.ts';
import { duplicate, type Fd, type FdLike } from '../sys/fd.ts';
import { FdHolder } from './fd-holder.ts';
import type { FdQueue } from './fd-queue.ts';

/**
 * Descriptors of one process by what they are for: `pidfd`, `terminal`, `stdin`, `stdout`, `stderr`, and `stdout-spent`
 * and `stderr-spent` where these go to a log.
 */
export type HeldFds = Readonly<Record<string, FdLike>>;

/** Only those that are open. */
export const heldOf = (fds: Readonly<Record<string, FdLike | undefined>>): HeldFds =>
  Object.fromEntries(
    Object.entries(fds).filter((entry): entry is [string, FdLike] => entry[1] !== undefined),
  );

/** One process's descriptors as the next shim finds them. */
export type FoundFds = ReadonlyMap<string, Fd>;

/**
 * Duplicates of the descriptors that must outlive the shim: a handle on each process (its exit code is known however
 * late one asks), terminals, and an end of each FIFO, so that nothing in it is lost while no shim is there.
 * One entry a key; they are kept by an {@link FdHolder}, started with the first entry. Nothing here throws: it is a
 * safety net, and a task does not fail for want of it.
 */
export class FdStore implements Disposable {
  readonly #file: string;
  readonly #log: Log;
  /** Serial number of each key's entry. */
  readonly #serials = new Map<string, number>();
  #nextSerial = 1;
  #holder: FdHolder | undefined;
  /** Called when the holder was killed: everybody should keep what they have again. */
  onLost: () => void = () => {};

  /** `file` names the holder for the next shim. */
  constructor(file: string, log: Log) {
    this.#file = file;
    this.#log = log;
    this.#attempt('', () => {
      this.#holder = FdHolder.find(file);
      if (this.#holder !== undefined) this.#watch(this.#holder);
    });
  }

  /** Keeps these and no others under `key`; none takes the entry out. */
  set(key: string, held: HeldFds): void {
    const names = Object.keys(held);
    this.#attempt(key, () => {
      if (names.length === 0) return this.remove(key);
      const queue = this.#queueOf(key);
      const serial = this.#nextSerial++;
      queue.push({ key, serial, names }, Object.values(held));
      const known = this.#serials.has(key);
      this.#serials.set(key, serial);
      if (known) this.#sweep(queue);
    });
  }

  remove(key: string): void {
    if (this.#serials.delete(key)) this.#attempt(key, () => this.#sweep(this.#queueOf(key)));
  }

  /** What an earlier shim kept; it stays kept, and the duplicates are the caller's. To be asked once, first thing. */
  found(): ReadonlyMap<string, FoundFds> {
    const found = new Map<string, FoundFds>();
    for (const queue of this.#holder?.queues ?? [])
      this.#attempt('', () => {
        queue.rotate(({ key, serial, names }, fds) => {
          if (serial < (this.#serials.get(key) ?? 0)) return true;
          for (const fd of found.get(key)?.values() ?? []) fd.close();
          found.set(key, byName(names, fds));
          this.#serials.set(key, serial);
          this.#nextSerial = Math.max(this.#nextSerial, serial + 1);
          return true;
        });
        this.#sweep(queue);
      });
    return found;
  }

  /** Takes out everything but these: processes that nobody knows any more. */
  keepOnly(keys: ReadonlySet<string>): void {
    for (const key of this.#serials.keys()) if (!keys.has(key)) this.remove(key);
  }

  /** Ends the holder; what it holds is let go. */
  stop(): void {
    this.#holder?.stop();
    this.#holder = undefined;
  }

  /** Lets go of the holder, which lives on. */
  [Symbol.dispose](): void {
    this.#holder?.[Symbol.dispose]();
    this.#holder = undefined;
  }

  #sweep(queue: FdQueue): void {
    queue.rotate(({ key, serial }) => this.#serials.get(key) === serial);
  }

  #queueOf(key: string): FdQueue {
    this.#holder ??= this.#start();
    return this.#holder.queueOf(key);
  }

  #start(): FdHolder {
    const holder = FdHolder.start(this.#file);
    this.#watch(holder);
    return holder;
  }

  #watch(holder: FdHolder): void {
    holder.watch(() => {
      if (this.#holder !== holder) return;
      this.#log.warn({}, 'the holder of descriptors is gone; a new one takes its place');
      holder[Symbol.dispose]();
      this.#holder = undefined;
      this.#serials.clear();
      this.onLost();
    });
  }

  #attempt(key: string, step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#log.warn({ key, error: messageOf(error) }, 'descriptors cannot be kept for the next shim');
    }
  }
}

const byName = (names: readonly string[], fds: readonly Fd[]): FoundFds =>
  new Map(names.flatMap((name, i) => (fds[i] === undefined ? [] : [[name, duplicate(fds[i])] as const])));

import { watch } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { watchOomV1 } from '../sys/oom-notice.ts';
import { readFlat } from './cgroup-files.ts';
import { cgroupOf } from './process-cgroup.ts';

/** A notice of version 1 comes before the kill that it is about: one looks again after these times. */
const laterMs = [0, 20, 200];

/**
 * Counts processes of a container that the kernel killed for want of memory. The kernel gives notice while the
 * container runs; at its end one looks once more, so that the last kill is told before the exit it led to.
 */
export class OomWatch implements Disposable {
  readonly #directory: string;
  readonly #isV2: boolean;
  readonly #onKill: () => void;
  #watch: Disposable | undefined;
  #seen: bigint;

  /** `pid`: a process of the container. @throws not_found (it has ended), ENOENT (no memory controller) */
  constructor(pid: number, onKill: () => void) {
    const cgroup = cgroupOf(pid);
    this.#isV2 = cgroup.isUnified;
    this.#directory = cgroup.directoryOf('memory');
    this.#onKill = onKill;
    this.#seen = this.#kills();
    this.#watch = this.#begin();
  }

  /** Tells of kills that nobody was told of. */
  check(): void {
    const kills = this.#kills();
    if (kills <= this.#seen) return;
    this.#seen = kills;
    this.#onKill();
  }

  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }

  #begin(): Disposable {
    if (!this.#isV2) return watchOomV1(this.#directory, () => void this.#checkSoon());
    const watcher = watch(join(this.#directory, 'memory.events'), () => this.check());
    watcher.on('error', () => {});
    return { [Symbol.dispose]: () => watcher.close() };
  }

  async #checkSoon(): Promise<void> {
    for (const ms of laterMs) {
      await sleep(ms);
      if (this.#watch !== undefined) this.check();
    }
  }

  #kills(): bigint {
    const file = this.#isV2 ? 'memory.events' : 'memory.oom_control';
    return readFlat(this.#directory, file).get('oom_kill') ?? 0n;
  }
}

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { commandOf, processesOf, type TestDaemon } from '../kit/daemon.ts';
import type { Journal } from './journal.ts';
import type { Random } from './random.ts';
import { shimPidOf } from './round.ts';

/** What the nemesis may do; `berthd` and `both` end with the daemon started again. */
export const faults = ['berthd', 'shim', 'both', 'runtimes', 'clients'] as const;
export type Fault = (typeof faults)[number];

/** Kills at random, always with -9. */
export class Nemesis {
  readonly #daemon: TestDaemon;
  readonly #journal: Journal;

  constructor(daemon: TestDaemon, journal: Journal) {
    this.#daemon = daemon;
    this.#journal = journal;
  }

  async strike(fault: Fault, random: Random): Promise<void> {
    if (fault === 'berthd') await this.#daemon.stop('SIGKILL');
    if (fault === 'shim') this.#killShim();
    if (fault === 'both') {
      const first = random.next() < 0.5;
      if (first) this.#killShim();
      await this.#daemon.stop('SIGKILL');
      if (!first) this.#killShim();
    }
    if (fault === 'berthd' || fault === 'both') await this.#daemon.start();
    if (fault === 'runtimes') await this.#hunt(random, () => this.#runtimes());
    if (fault === 'clients') await this.#hunt(random, clientsOfThisProcess);
  }

  #killShim(): void {
    const pid = shimPidOf(this.#daemon);
    if (pid === undefined) return;
    this.#journal.shimDied();
    kill(pid);
  }

  /** A runtime lives for milliseconds, so it is looked for again and again. */
  async #hunt(random: Random, find: () => number[]): Promise<void> {
    let left = random.between(1, 4);
    for (const endMs = Date.now() + huntMs; left > 0 && Date.now() < endMs; await sleep(2))
      for (const pid of find().slice(0, left)) {
        kill(pid);
        left--;
      }
  }

  #runtimes(): number[] {
    return processesOf(this.#daemon.state).filter((pid) =>
      /^\S*(runc|crun) .*--root \S+ /.test(commandOf(pid)),
    );
  }
}

const huntMs = 800;

/** berth and ctr that this test has started. */
const clientsOfThisProcess = (): number[] =>
  readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .map(Number)
    .filter((pid) => /cli\/main|\/ctr /.test(commandOf(pid)));

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../errors/error.ts';
import type { EndStep } from '../rpc/ttrpc-shim.ts';
import { cgroupsOf, killCgroup, listCgroupPids } from '../sys/cgroup.ts';
import { findProcess, signalProcess } from '../sys/process.ts';
import { cgroupOf } from './process-cgroup.ts';
import { within } from './stdio.ts';
import type { TaskProcess } from './task-process.ts';

const SIGKILL = 9;
/** Steps kept of one task: somebody may send signals all day. */
const maxSteps = 50;
/** How long a killed process has before the next means is tried. */
const patienceMs = 2_000;
/** How long one that nothing ends has before its task is told as ended without it. */
const lastPatienceMs = 4_000;
/** A frozen cgroup of version 1 needs a moment to be frozen. */
const freezeMs = 100;

/** What is done to end one task, and what came of it: shows why one that should be gone is not. */
export class EndSteps {
  readonly #steps: EndStep[] = [];
  readonly #init: TaskProcess;
  readonly #detach: () => Promise<void>;
  #escalating = false;

  /** `detach`: lets go of a process that nothing ends, so that its task can be deleted. */
  constructor(init: TaskProcess, detach: () => Promise<void>) {
    this.#init = init;
    this.#detach = detach;
  }

  get list(): readonly EndStep[] {
    return this.#steps;
  }

  /** Does it, and keeps a record of it. @throws what the step throws */
  async take<T>(step: string, action: () => T | Promise<T>): Promise<T> {
    try {
      const result = await action();
      this.#note(step);
      return result;
    } catch (error) {
      this.#note(step, messageOf(error));
      throw error;
    }
  }

  /** SIGKILL was sent: sees to it that it does what it should, by the next means whenever one was not enough. */
  async escalate(): Promise<void> {
    if (this.#escalating) return;
    this.#escalating = true;
    const paths = ownCgroups(this.#init.pid);
    for (const [step, action] of means) {
      await within(patienceMs, this.#init.ended);
      if (this.#hasEnded()) return;
      await this.take(step, () => action(this.#init.pid, paths)).catch(() => {});
    }
    await within(patienceMs, this.#init.ended);
    await this.#giveUp().catch(() => {});
    this.#escalating = false;
  }

  /** SIGKILL is pending: whatever keeps it in the kernel, it never runs a line of its own again. */
  async #giveUp(): Promise<void> {
    if (this.#hasEnded()) return;
    this.#note(whereIs(this.#init.pid));
    await within(lastPatienceMs, this.#init.ended);
    if (!this.#hasEnded()) await this.take('given up: root detached, task told as ended', this.#detach);
  }

  #hasEnded(): boolean {
    return this.#init.status === 'stopped' || !existsSync(`/proc/${this.#init.pid}`);
  }

  #note(step: string, error = ''): void {
    this.#steps.push({ atMs: Date.now(), step, error });
    if (this.#steps.length > maxSteps) this.#steps.shift();
  }
}

type Means = readonly [step: string, action: (pid: number, paths: readonly string[]) => Promise<void>];

/** In the order they are tried once SIGKILL alone was not enough. */
const means: readonly Means[] = [
  ['every process of the cgroup killed', (_pid, paths) => killAll(paths)],
  ['cgroup frozen, killed and thawed', freezeAndKill],
];

async function killAll(paths: readonly string[]): Promise<void> {
  for (const path of paths) await killCgroup(path);
}

/** Nothing in it can fork while it is being killed. Version 2 has cgroup.kill, which needs no such thing. */
async function freezeAndKill(pid: number, paths: readonly string[]): Promise<void> {
  const directory = cgroupOf(pid).directoryOf('freezer');
  const state = join(directory, 'freezer.state');
  if (directory === '' || !existsSync(state)) return killAll(paths);
  writeFileSync(state, 'FROZEN');
  await sleep(freezeMs);
  for (const one of paths.flatMap(listCgroupPids)) signalProcess(one, SIGKILL);
  writeFileSync(state, 'THAWED');
}

/** Its cgroups, unless they are the shim's as well. */
function ownCgroups(pid: number): string[] {
  try {
    const ours = new Set(cgroupsOf('self').values());
    return [...new Set(cgroupsOf(pid).values())].filter((path) => path !== '/' && !ours.has(path));
  } catch {
    return [];
  }
}

/** What the kernel says of a process that does not end. */
function whereIs(pid: number): string {
  const state = findProcess(pid)?.state ?? 'gone';
  return `process ${pid} is still there, in state ${state}${state === 'D' ? `, waiting in ${waitChannel(pid)}` : ''}`;
}

function waitChannel(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/wchan`, 'utf8');
  } catch {
    return 'the kernel';
  }
}

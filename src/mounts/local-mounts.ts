import { chmod, lstat, mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../async/context.ts';
import { KeyedLock } from '../async/keyed-lock.ts';
import { never } from '../async/never.ts';
import { messageOf } from '../errors/error.ts';
import type { Mount } from '../sys/mount.ts';
import { namesIn } from '../sys/names-in.ts';
import type { ActiveMount } from './activations.ts';
import { handlerOf } from './handlers.ts';
import type { Formatter } from './mkfs.ts';
import type { MountPlan, MountStep } from './plan.ts';
import { transform } from './transforms.ts';

export interface LocalMountsOptions {
  /** Where mounts are made: `<directory>/<id>/<n>`, the last one made is 1. Below the state directory. */
  readonly directory: string;
  /** Where `mkfs` and `mkdir` may make something beside there. */
  readonly roots: readonly string[];
  readonly format: Formatter;
  /** Of this boot of the kernel: mounts of another are gone. */
  readonly bootId: string;
  readonly log: Log;
}

/** What became of a list of mounts. */
export interface MadeMounts {
  readonly active: readonly ActiveMount[];
  readonly system: readonly Mount[];
}

/**
 * Makes and undoes mounts, each list below a directory of its number, so that what a daemon which was killed left can be
 * found and undone without knowing what it was.
 */
export class LocalMounts {
  readonly bootId: string;
  readonly #directory: string;
  readonly #roots: readonly string[];
  readonly #format: Formatter;
  readonly #log: Log;
  readonly #undoing = new KeyedLock();

  constructor({ directory, roots, format, bootId, log }: LocalMountsOptions) {
    this.bootId = bootId;
    this.#directory = directory;
    this.#roots = [directory, ...roots];
    this.#format = format;
    this.#log = log;
  }

  /** Makes the directory (0700). */
  async open(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await chmod(this.#directory, 0o700);
  }

  /**
   * Makes what the plan says. On failure nothing that can be undone is left. `bind`: one mount of the last is all that
   * is to be done after. @throws as the transforms and handlers
   */
  async make(id: number, { steps, performed }: MountPlan, bind: boolean): Promise<MadeMounts> {
    const active: ActiveMount[] = [];
    await mkdir(this.#path(id), { mode: 0o700 });
    try {
      for (const [i, step] of steps.slice(0, performed).entries())
        active.push(await this.#makeOne(step, this.#pointOf(id, performed - i, performed), active));
      const [next, ...rest] = steps.slice(performed);
      const system =
        next === undefined ? [] : [await this.#transformed(next, active), ...rest.map(({ mount }) => mount)];
      const last = active.at(-1);
      if (bind && last)
        system.push({ type: 'bind', source: last.mountPoint, target: '', options: ['rbind'] });
      return { active, system };
    } catch (error) {
      await this.undo(id).catch((cause) =>
        this.#log.warn({ id, error: messageOf(cause) }, 'mounts of a failed activation are left'),
      );
      throw error;
    }
  }

  /** Undoes everything below the number, the last first. Idempotent. @throws SysError (EBUSY) */
  async undo(id: number): Promise<void> {
    // A collection may come upon what is just being undone.
    using _lock = await this.#undoing.acquire(String(id), never);
    const path = this.#path(id);
    for (const name of (await namesIn(path)).sort()) {
      const point = join(path, name);
      const isLink = (await lstat(point)).isSymbolicLink();
      await handlerOf(isLink ? 'loop' : '').unmount(point);
    }
    await rmdir(path).catch((error) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }

  /** Whether all that was made is still there: after a reboot nothing is. */
  async isWhole(active: readonly ActiveMount[]): Promise<boolean> {
    for (const { type, mountPoint } of active) if (!(await handlerOf(type).isThere(mountPoint))) return false;
    return true;
  }

  /** Undoes every number that `isKnown` does not know, as far as that is possible now. @returns those that are gone */
  async cleanup(isKnown: (id: number) => boolean): Promise<number[]> {
    const gone: number[] = [];
    for (const id of (await namesIn(this.#directory)).map(Number).filter((one) => one > 0)) {
      if (isKnown(id)) continue;
      try {
        await this.undo(id);
        gone.push(id);
      } catch (error) {
        this.#log.warn({ id, error: messageOf(error) }, 'mounts that nobody knows cannot be undone yet');
      }
    }
    return gone;
  }

  async #makeOne(step: MountStep, mountPoint: string, active: readonly ActiveMount[]): Promise<ActiveMount> {
    const mount = await this.#transformed(step, active);
    await handlerOf(mount.type).mount(mount, mountPoint);
    return { ...mount, mountPoint, mountedAt: new Date() };
  }

  async #transformed({ mount, transforms, type }: MountStep, active: readonly ActiveMount[]): Promise<Mount> {
    const parts = { roots: this.#roots, format: this.#format };
    let changed = { ...mount, type };
    for (const name of transforms) changed = { ...(await transform(parts, name, changed, active)), type };
    return changed;
  }

  #path(id: number): string {
    return join(this.#directory, String(id));
  }

  /** Names that sort in the order in which they are to be undone. */
  #pointOf(id: number, number: number, of: number): string {
    return join(this.#path(id), String(number).padStart(String(of).length, '0'));
  }
}

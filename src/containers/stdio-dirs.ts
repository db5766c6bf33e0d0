import { randomBytes } from 'node:crypto';
import { chownSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { chmod, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFifo } from '../sys/fifo.ts';
import type { StdioPaths, WantedStdio } from './containers.ts';

const names = ['stdin', 'stdout', 'stderr'] as const;
/** An owner file is three short identifiers. */
const ownerFile = 'owner';

interface StdioDir {
  readonly path: string;
  readonly owner: Owner;
  readonly madeAtMs: number;
}

/** Whose FIFOs: `execId` '' for the first process. */
export interface Owner {
  readonly namespace: string;
  readonly containerId: string;
  readonly execId: string;
}

/**
 * Directories of FIFOs, `<root>/<random>/{stdin,stdout,stderr}`, each 0700 and of its caller. Who they are for is kept
 * in a file beside them, so a restarted daemon still removes them.
 */
export class StdioDirs {
  readonly #root: string;
  readonly #dirs = new Map<string, StdioDir>();

  /** @param root made when absent; what an earlier daemon left there is taken over */
  constructor(root: string) {
    this.#root = root;
    mkdirSync(root, { recursive: true, mode: 0o711 });
    for (const name of readdirSync(root)) this.#adopt(join(root, name));
  }

  /** Makes the FIFOs that are wanted; `uid` owns them when given. */
  async make(namespace: string, wanted: WantedStdio, uid: number | undefined): Promise<StdioPaths> {
    await chmod(this.#root, 0o711);
    const path = join(this.#root, randomBytes(12).toString('hex'));
    const owner = { namespace, containerId: wanted.containerId, execId: wanted.execId };
    mkdirSync(path, { mode: 0o700 });
    this.#dirs.set(path, { path, owner, madeAtMs: Date.now() });
    try {
      writeFileSync(join(path, ownerFile), JSON.stringify(owner), { mode: 0o600 });
      for (const name of names) if (wanted[name]) makeOwnFifo(join(path, name), uid);
      if (uid !== undefined) chownSync(path, uid, -1);
    } catch (error) {
      await this.#remove(path);
      throw error;
    }
    const at = (name: (typeof names)[number]) => (wanted[name] ? join(path, name) : '');
    return { stdin: at('stdin'), stdout: at('stdout'), stderr: at('stderr') };
  }

  /** Removes what `matches`. Open FIFOs go on working. Idempotent. */
  async removeWhere(matches: (owner: Owner, ageMs: number) => boolean): Promise<void> {
    const now = Date.now();
    const gone = [...this.#dirs.values()].filter((dir) => matches(dir.owner, now - dir.madeAtMs));
    await Promise.all(gone.map((dir) => this.#remove(dir.path)));
  }

  /** Everybody who has FIFOs here that are older than `ageMs`. */
  ownersOlderThan(ageMs: number): Owner[] {
    const latest = Date.now() - ageMs;
    return [...this.#dirs.values()].filter((dir) => dir.madeAtMs <= latest).map((dir) => dir.owner);
  }

  async #remove(path: string): Promise<void> {
    await rm(path, { recursive: true, force: true });
    this.#dirs.delete(path);
  }

  #adopt(path: string): void {
    const owner = readOwner(join(path, ownerFile));
    if (owner === undefined) rmSync(path, { recursive: true, force: true });
    else this.#dirs.set(path, { path, owner, madeAtMs: Math.floor(statSync(path).mtimeMs) });
  }
}

function makeOwnFifo(path: string, uid: number | undefined): void {
  makeFifo(path, 0o600);
  if (uid !== undefined) chownSync(path, uid, -1);
}

function readOwner(path: string): Owner | undefined {
  try {
    const { namespace, containerId, execId } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Owner>;
    const all = [namespace, containerId, execId];
    return all.every((text) => typeof text === 'string')
      ? ({ namespace, containerId, execId } as Owner)
      : undefined;
  } catch {
    return undefined; // died while making it: nobody's, and nobody knows its path
  }
}

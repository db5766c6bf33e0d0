import { mkdir, readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { KeyedLock } from '../../async/keyed-lock.ts';
import { never } from '../../async/never.ts';
import { messageOf } from '../../errors/error.ts';
import { AT_FDCWD } from '../../sys/constants.ts';
import { mountIdMapped } from '../../sys/id-mapped-mount.ts';
import { mountAll, unmountAll } from '../../sys/mount.ts';
import { removeTree } from '../../sys/remove-tree.ts';
import { statAt } from '../../sys/stat.ts';
import { makeUserNamespace } from '../../sys/user-namespace.ts';
import type { IdMaps } from './id-maps.ts';

/** A directory to be seen with other owners, and a name that is the same for the same directory. */
export interface MappedSource {
  readonly name: string;
  readonly path: string;
}

/** Lower directories with the owners of a user namespace, each mounted at `<directory>/<name>-<key of the maps>`. */
export class MappedMounts {
  readonly #directory: string;
  readonly #mounted = new Map<string, bigint>();
  readonly #locks = new KeyedLock();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Unmounts what an earlier daemon left: made anew, it is sure to show the right directory. */
  async open(): Promise<void> {
    for (const name of await readdir(this.#directory)) if (name.includes('-')) await this.#unmount(name);
  }

  /** Names of all that are mounted. */
  get names(): string[] {
    return [...this.#mounted.keys()];
  }

  /** Mounts what is not yet; answers where. @throws SysError (EINVAL: a file system that has no mapped mounts) */
  async ensure(sources: readonly MappedSource[], maps: IdMaps): Promise<string[]> {
    const paths: string[] = [];
    for (const { name, path } of sources)
      paths.push(await this.#ensureOne(`${name}-${maps.key}`, path, maps));
    return paths;
  }

  /** Ends a mount unless it is `wanted` by then. Idempotent. */
  async drop(name: string, wanted: () => boolean): Promise<void> {
    using _ = await this.#locks.acquire(name, never);
    if (!wanted()) await this.#unmount(name);
  }

  async #ensureOne(name: string, source: string, { uids, gids }: IdMaps): Promise<string> {
    const target = join(this.#directory, name);
    using _ = await this.#locks.acquire(name, never);
    if (this.#isMounted(name, target)) return target;
    await mkdir(target, { recursive: true, mode: 0o700 });
    using namespace = makeUserNamespace(uids, gids);
    mountIdMapped(source, target, namespace);
    this.#mounted.set(name, statAt(AT_FDCWD, target).mountId);
    return target;
  }

  #isMounted(name: string, target: string): boolean {
    const mountId = this.#mounted.get(name);
    return mountId !== undefined && statAt(AT_FDCWD, target).mountId === mountId;
  }

  async #unmount(name: string): Promise<void> {
    this.#mounted.delete(name);
    await unmountAll(join(this.#directory, name), { detach: true });
    await rmdir(join(this.#directory, name)).catch(() => {});
  }
}

/** Why overlayfs cannot stand on mapped mounts here; undefined where it can. Tried on the file system that has the files. */
export async function whyNoIdMaps(root: string, mounts: string): Promise<string | undefined> {
  const dirs = ['lower', 'upper', 'work'].map((name) => join(root, 'probe', name));
  const [lower = '', upper, work] = dirs;
  const [mapped, target] = [join(mounts, 'probe-mapped'), join(mounts, 'probe')];
  try {
    for (const path of [...dirs, mapped, target]) await mkdir(path, { recursive: true, mode: 0o700 });
    const ids = [{ inside: 0, outside: 1000, length: 1 }];
    using namespace = makeUserNamespace(ids, ids);
    mountIdMapped(lower, mapped, namespace);
    const options = [`lowerdir=${mapped}`, `upperdir=${upper}`, `workdir=${work}`];
    await mountAll([{ type: 'overlay', source: 'overlay', options }], target);
    return statAt(AT_FDCWD, mapped).uid === 1000 ? undefined : 'owners are not mapped';
  } catch (error) {
    return messageOf(error);
  } finally {
    for (const path of [target, mapped]) await unmountAll(path, { detach: true });
    for (const path of [target, mapped]) await rmdir(path).catch(() => {});
    await removeTree(join(root, 'probe'));
  }
}

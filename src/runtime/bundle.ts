import { existsSync } from 'node:fs';
import { mkdir, readdir, rmdir, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Log } from '../async/context.ts';
import { KeyedLock } from '../async/keyed-lock.ts';
import { never } from '../async/never.ts';
import { alreadyExists, codeOf, invalidArgument, messageOf } from '../errors/error.ts';
import { validateIdentifier } from '../metadata/identifiers.ts';
import { bundlesDir, taskRecordFile } from '../rpc/ttrpc-shim.ts';
import { unmountTree } from '../sys/mount.ts';
import { namesIn } from '../sys/names-in.ts';
import { removeTree } from '../sys/remove-tree.ts';
import { hasForeignRecord } from './foreign/foreign-record.ts';
import type { Finding } from './reconcile/finding.ts';

/** Directory of the bundles of sandboxes, as containerd's sandboxer `shim` lays it out. */
export const sandboxBundlesDir = 'io.containerd.sandbox.controller.v1.shim';

/** Bundles of tasks: `<state>/io.containerd.runtime.v2.task/<namespace>/<id>/{config.json, rootfs, …}`. */
export class Bundles {
  readonly #root: string;
  readonly #locks = new KeyedLock();

  /** `directory`: in the state directory. */
  constructor(stateDir: string, directory = bundlesDir) {
    this.#root = join(stateDir, directory);
  }

  /** Held by whoever makes or removes a bundle and its task. @throws the signal's reason */
  lock(namespace: string, id: string, signal: AbortSignal): Promise<Disposable> {
    return this.#locks.acquire(`${namespace}/${id}`, signal);
  }

  /** As {@link path}, of a key `namespace/id` that was read from the disk. */
  pathOf(key: string): string {
    return join(this.#root, key);
  }

  /** Where a bundle is or would be. @throws invalid_argument (namespace, id) */
  path(namespace: string, id: string): string {
    validateIdentifier(namespace);
    validateIdentifier(id);
    return join(this.#root, namespace, id);
  }

  /**
   * Makes a bundle with an empty rootfs. Only root may enter (CVE-2021-41103); with a user namespace others may pass
   * through, because the container's root is one of them.
   * @param spec the runtime specification, JSON; a sandbox may have none
   * @throws already_exists, invalid_argument (ids, spec)
   */
  async create(namespace: string, id: string, spec: Uint8Array | undefined): Promise<string> {
    const path = this.path(namespace, id);
    const mode = spec !== undefined && hasUserNamespace(spec) ? 0o711 : 0o700;
    for (const dir of [this.#root, dirname(path)]) await mkdir(dir, { recursive: true, mode: 0o711 });
    try {
      await mkdir(path, { mode });
    } catch (error) {
      if (codeOf(error) === 'EEXIST') throw alreadyExists(`bundle ${path}`, error);
      throw error;
    }
    await mkdir(join(path, 'rootfs'), { mode: 0o711 });
    if (spec !== undefined) await writeFile(join(path, 'config.json'), spec, { mode: 0o600 });
    return path;
  }

  /** Whether a shim has or makes a task in it. */
  #hasTask(namespace: string, id: string): boolean {
    const path = join(this.#root, namespace, id);
    return existsSync(join(path, taskRecordFile)) || hasForeignRecord(path);
  }

  /** Whether there is a bundle of any shim. */
  async any(): Promise<boolean> {
    return !(await this.all().next()).done;
  }

  /** Whether there is a bundle that berth-shim must look at. */
  async anyOwn(): Promise<boolean> {
    for await (const { namespace, id } of this.all())
      if (!hasForeignRecord(join(this.#root, namespace, id))) return true;
    return false;
  }

  /** Every bundle there is. */
  async *all(): AsyncGenerator<{ readonly namespace: string; readonly id: string }> {
    for (const namespace of await namesIn(this.#root))
      for (const id of await namesIn(join(this.#root, namespace))) yield { namespace, id };
  }

  /**
   * Removes bundles that belong to no task: a daemon or shim that was killed between a bundle and its task, or between
   * a task's end and its bundle's, left them. What a shim took over or is at work on has a record, and stays.
   */
  async sweep(log: Log): Promise<Finding[]> {
    const found: Finding[] = [];
    for await (const { namespace, id } of this.all()) {
      if (this.#hasTask(namespace, id)) continue;
      const finding = await this.#removeIdle(namespace, id);
      if (finding !== undefined) found.push(finding);
      if (finding !== undefined) log.debug({ namespace, id }, 'bundle without a task');
    }
    return found;
  }

  /** undefined where somebody has begun a task there meanwhile, or has removed the bundle himself. */
  async #removeIdle(namespace: string, id: string): Promise<Finding | undefined> {
    using _lock = await this.lock(namespace, id, never);
    const what = join(this.#root, namespace, id);
    if (this.#hasTask(namespace, id) || !existsSync(what)) return undefined;
    try {
      await this.remove(namespace, id);
      return { kind: 'bundle', what, why: 'it has no task', repaired: true };
    } catch (error) {
      return { kind: 'bundle', what, why: messageOf(error), repaired: false };
    }
  }

  /** Unmounts and removes a bundle. Idempotent. */
  async remove(namespace: string, id: string): Promise<void> {
    const path = this.path(namespace, id);
    if (await removeFlat(path)) return;
    await unmountTree(join(path, 'rootfs'), { detach: true });
    await removeTree(path);
  }
}

/** The usual bundle, files beside an empty rootfs, goes in a few calls. @returns false where it is another */
async function removeFlat(path: string): Promise<boolean> {
  try {
    await rmdir(join(path, 'rootfs'));
    for (const name of await readdir(path)) await unlink(join(path, name));
    await rmdir(path);
    return true;
  } catch {
    return false;
  }
}

function hasUserNamespace(spec: Uint8Array): boolean {
  const { linux } = parseSpec(spec);
  return linux?.namespaces?.some((namespace) => namespace.type === 'user') ?? false;
}

interface SpecShape {
  readonly linux?: { readonly namespaces?: readonly { readonly type?: string }[] };
}

function parseSpec(spec: Uint8Array): SpecShape {
  try {
    return JSON.parse(Buffer.from(spec).toString()) as SpecShape;
  } catch (error) {
    throw invalidArgument(`runtime spec is not JSON: ${messageOf(error)}`, error);
  }
}

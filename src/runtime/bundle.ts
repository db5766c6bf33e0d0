import { existsSync } from 'node:fs';
import { mkdir, readdir, rmdir, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { alreadyExists, codeOf, invalidArgument, messageOf } from '../errors/error.ts';
import { validateIdentifier } from '../metadata/identifiers.ts';
import { unmountTree } from '../sys/mount.ts';
import { removeTree } from '../sys/remove-tree.ts';

/** Directory of all bundles in the state directory, as containerd lays it out; the shim's adopt.ts knows it too. */
const bundlesDir = 'io.containerd.runtime.v2.task';
/** The shim's record of a task, there from before the task is made until it is deleted; its task-record.ts knows it too. */
const recordFile = 'shim.json';

/** Bundles of tasks: `<state>/io.containerd.runtime.v2.task/<namespace>/<id>/{config.json, rootfs, …}`. */
export class Bundles {
  readonly #root: string;

  constructor(stateDir: string) {
    this.#root = join(stateDir, bundlesDir);
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
   * @param spec the runtime specification, JSON
   * @throws already_exists, invalid_argument (ids, spec)
   */
  async create(namespace: string, id: string, spec: Uint8Array): Promise<string> {
    const path = this.path(namespace, id);
    const mode = hasUserNamespace(spec) ? 0o711 : 0o700;
    for (const dir of [this.#root, dirname(path)]) await mkdir(dir, { recursive: true, mode: 0o711 });
    try {
      await mkdir(path, { mode });
    } catch (error) {
      if (codeOf(error) === 'EEXIST') throw alreadyExists(`bundle ${path}`, error);
      throw error;
    }
    await mkdir(join(path, 'rootfs'), { mode: 0o711 });
    await writeFile(join(path, 'config.json'), spec, { mode: 0o600 });
    return path;
  }

  /** Whether the shim has or makes a task in it. */
  hasTask(namespace: string, id: string): boolean {
    return existsSync(join(this.path(namespace, id), recordFile));
  }

  /** Whether there is a bundle at all. */
  async any(): Promise<boolean> {
    for (const namespace of await namesIn(this.#root))
      if ((await namesIn(join(this.#root, namespace))).length > 0) return true;
    return false;
  }

  /** Bundles that belong to no task. */
  async withoutTask(): Promise<{ readonly namespace: string; readonly id: string }[]> {
    const all: { namespace: string; id: string }[] = [];
    for (const namespace of await namesIn(this.#root))
      for (const id of await namesIn(join(this.#root, namespace))) all.push({ namespace, id });
    return all.filter(({ namespace, id }) => !this.hasTask(namespace, id));
  }

  /** Unmounts and removes a bundle. Idempotent. */
  async remove(namespace: string, id: string): Promise<void> {
    const path = this.path(namespace, id);
    if (await removeFlat(path)) return;
    await unmountTree(join(path, 'rootfs'), { detach: true });
    await removeTree(path);
  }
}

const namesIn = (directory: string): Promise<string[]> => readdir(directory).catch(() => []);

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

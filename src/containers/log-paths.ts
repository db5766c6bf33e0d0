import { constants } from 'node:fs';
import { chmod, type FileHandle, mkdir, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, failedPrecondition } from '../errors/error.ts';
import { validateIdentifier } from '../metadata/identifiers.ts';
import { namesIn } from '../sys/names-in.ts';

/** Where logs of containers live: `<root>/<namespace>/<id>/log`, directories 0700. The shim writes, the daemon reads. */
export class LogPaths {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Makes the directory; returns the URI that tells the shim to write CRI lines there. */
  async prepare(namespace: string, id: string): Promise<string> {
    const directory = this.#directory(namespace, id);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await chmod(this.#root, 0o700);
    return `cri://${join(directory, 'log')}`;
  }

  /** Idempotent. */
  async remove(namespace: string, id: string): Promise<void> {
    await rm(this.#directory(namespace, id), { recursive: true, force: true });
  }

  /** Whose logs are here and have not changed since `untilMs`. */
  async unchangedSince(untilMs: number): Promise<{ readonly namespace: string; readonly id: string }[]> {
    const found: { namespace: string; id: string }[] = [];
    for (const namespace of await namesIn(this.#root))
      for (const id of await namesIn(join(this.#root, namespace)))
        if ((await stat(join(this.#root, namespace, id))).mtimeMs < untilMs) found.push({ namespace, id });
    return found;
  }

  path(namespace: string, id: string): string {
    return join(this.#directory(namespace, id), 'log');
  }

  #directory(namespace: string, id: string): string {
    validateIdentifier(namespace);
    validateIdentifier(id);
    return join(this.#root, namespace, id);
  }
}

/**
 * Opens a log for reading; a link is not followed and anything but a regular file is refused (CVE-2025-0750).
 * Undefined while there is none. @throws failed_precondition
 */
export async function openLog(path: string): Promise<FileHandle | undefined> {
  const handle = await openNoFollow(path);
  if (handle === undefined || (await handle.stat()).isFile()) return handle;
  await handle.close();
  throw failedPrecondition(`log ${path} is not a regular file`);
}

async function openNoFollow(path: string): Promise<FileHandle | undefined> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  try {
    return await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    if (codeOf(error) === 'ELOOP' || codeOf(error) === 'ENXIO')
      throw failedPrecondition(`log ${path} is not a regular file`);
    throw error;
  }
}

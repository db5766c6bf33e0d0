import { chmod, mkdir, readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { KeyedLock } from '../../async/keyed-lock.ts';
import { never } from '../../async/never.ts';
import { codeOf, isKind } from '../../errors/error.ts';
import { AT_FDCWD, O_PATH } from '../../sys/constants.ts';
import { statFileSystem } from '../../sys/file-system.ts';
import { openAt } from '../../sys/files.ts';
import { unmountAll } from '../../sys/mount.ts';
import { listMounts } from '../../sys/mountinfo.ts';
import { type FileStat, statAt } from '../../sys/stat.ts';
import { LostSnapshot } from '../lost-snapshot.ts';
import { readErofsFile } from './erofs-file.ts';
import { type LayerAttachment, mountLayer } from './layer-support.ts';

/** A mounted layer, as it was when it was mounted. */
interface Mounted {
  readonly mountId: bigint;
  readonly fileInode: bigint;
  readonly fileBytes: number;
}

/**
 * Layer files mounted read-only, each at `<directory>/<id>`: short paths, because overlayfs takes 4096 bytes of options.
 * Mounts of an earlier daemon are taken over once they are proven to show the very file.
 */
export class LayerMounts {
  readonly #directory: string;
  readonly #fileOf: (id: number) => string;
  readonly #mounted = new Map<number, Mounted>();
  /** What an earlier daemon left and nobody has asked for yet. */
  readonly #found = new Set<number>();
  readonly #locks = new KeyedLock();
  #attachment: LayerAttachment = 'none';

  constructor(directory: string, fileOf: (id: number) => string) {
    this.#directory = directory;
    this.#fileOf = fileOf;
  }

  /** Makes the directory (0700) and looks at what is mounted there. */
  async open(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await chmod(this.#directory, 0o700);
    for (const { mountPoint } of listMounts()) {
      const id = /^[1-9]\d*$/.exec(mountPoint.slice(this.#directory.length + 1))?.[0];
      if (id !== undefined && mountPoint.startsWith(`${this.#directory}/`)) this.#found.add(Number(id));
    }
    for (const name of await readdir(this.#directory))
      if (!this.#found.has(Number(name))) await rmdir(join(this.#directory, name)).catch(() => {});
  }

  set attachment(attachment: LayerAttachment) {
    this.#attachment = attachment;
  }

  path(id: number): string {
    return join(this.#directory, String(id));
  }

  /** Layers that are mounted, proven or not. */
  get ids(): number[] {
    return [...this.#mounted.keys(), ...this.#found];
  }

  /**
   * Sees to it that all of these are mounted: a look at each where they are. @throws {@link LostSnapshot}
   * for a file that is gone or damaged, failed_precondition where layer files cannot be mounted
   */
  async ensure(ids: readonly number[]): Promise<void> {
    const missing = ids.filter((id) => !this.#isWhole(id));
    const results = await Promise.allSettled(missing.map((id) => this.#mount(id)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** Ends the mount unless it is `wanted` by then; whoever is in it keeps it until they leave. Idempotent. */
  async drop(id: number, wanted: () => boolean = () => false): Promise<void> {
    if (!this.#mounted.has(id) && !this.#found.has(id)) return;
    using _ = await this.#locks.acquire(String(id), never);
    if (!wanted()) await this.#unmount(id);
  }

  #isWhole(id: number): boolean {
    const mounted = this.#mounted.get(id);
    if (mounted === undefined) return false;
    const [place, file] = [statIfThere(this.path(id)), statIfThere(this.#fileOf(id))];
    return (
      place?.mountId === mounted.mountId &&
      file?.ino === mounted.fileInode &&
      file.sizeBytes === mounted.fileBytes
    );
  }

  async #mount(id: number): Promise<void> {
    using _ = await this.#locks.acquire(String(id), never);
    const file = this.#fileOf(id);
    try {
      const { fileSystemId } = await readErofsFile(file);
      if (!this.#shows(id, fileSystemId)) await this.#mountAnew(id);
    } catch (error) {
      throw isLoss(error) ? new LostSnapshot(id, error) : error;
    }
    const stat = statAt(AT_FDCWD, file);
    const { mountId } = statAt(AT_FDCWD, this.path(id));
    this.#found.delete(id);
    this.#mounted.set(id, { mountId, fileInode: stat.ino, fileBytes: stat.sizeBytes });
  }

  async #mountAnew(id: number): Promise<void> {
    await this.#unmount(id);
    await mkdir(this.path(id), { recursive: true, mode: 0o700 });
    await mountLayer(this.#attachment, this.#fileOf(id), this.path(id));
  }

  /** Is this very file system mounted there? One without a UUID cannot be told from others. */
  #shows(id: number, fileSystemId: bigint): boolean {
    if (fileSystemId === 0n || statIfThere(this.path(id))?.mountRoot !== true) return false;
    using place = openAt(AT_FDCWD, this.path(id), O_PATH);
    return statFileSystem(place).id === fileSystemId;
  }

  async #unmount(id: number): Promise<void> {
    this.#mounted.delete(id);
    this.#found.delete(id);
    await unmountAll(this.path(id), { detach: true });
    await rmdir(this.path(id)).catch(() => {});
  }
}

/** What the kernel answers to an image it does not believe: EBADMSG to a wrong checksum, EUCLEAN to other nonsense. */
const damage: ReadonlySet<string | undefined> = new Set(['EBADMSG', 'EUCLEAN', 'EINVAL', 'EIO']);

const isLoss = (error: unknown): boolean =>
  isKind(error, 'data_loss') || (error instanceof Error && damage.has(codeOf(error.cause)));

function statIfThere(path: string): FileStat | undefined {
  try {
    return statAt(AT_FDCWD, path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

import { ftruncateSync, writeSync } from 'node:fs';
import { O_CREAT, O_EXCL, O_WRONLY } from '../sys/constants.ts';
import type { Fd } from '../sys/fd.ts';
import { openAt } from '../sys/files.ts';
import { translate } from './member-faults.ts';
import { type Created, setFileMetadata } from './member-metadata.ts';
import { toPath } from './member-path.ts';
import type { ByteString, TarEntry } from './tar-entry.ts';

/** One regular file that is being written. Disposing closes it, finished or not. */
export class FileWriter implements Disposable {
  readonly #fd: Fd;
  readonly #entry: TarEntry;
  readonly #created: Created;

  /** @throws SysError EEXIST when something is there */
  constructor(parent: Fd, base: ByteString, entry: TarEntry, created: Created) {
    this.#fd = openAt(parent, toPath(base), O_WRONLY | O_CREAT | O_EXCL, entry.mode & 0o777);
    this.#entry = entry;
    this.#created = created;
    if (entry.sparse !== undefined) this.#extend();
  }

  #extend(): void {
    try {
      ftruncateSync(this.#fd.fd, this.#entry.sizeBytes);
    } catch (error) {
      this.#fd.close();
      throw translate(error, this.#entry);
    }
  }

  /** `offset` counts in sparse files only; others grow. */
  write(chunk: Buffer, offset: number): void {
    const start = this.#entry.sparse === undefined ? undefined : offset;
    this.#guard(() => {
      for (let done = 0; done < chunk.length; ) {
        const position = start === undefined ? null : start + done;
        done += writeSync(this.#fd.fd, chunk, done, chunk.length - done, position);
      }
    });
  }

  /** Gives the file its attributes, now that nothing is written any more. */
  finish(): void {
    this.#guard(() => setFileMetadata(this.#fd, this.#entry, this.#created));
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }

  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      throw translate(error, this.#entry);
    }
  }
}

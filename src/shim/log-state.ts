import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';

/** How far a log has come: everything of each stream before `consumed` is in the first `size` bytes of file `ino`. */
export interface LogProgress {
  readonly ino: bigint;
  readonly size: number;
  /** Bytes of stdout and stderr, since they began. */
  readonly consumed: readonly [number, number];
}

const recordBytes = 32;

/** {@link LogProgress} on disk, in one write far smaller than a page: a kill leaves the old or the new one. */
export class LogState implements Disposable {
  readonly #fd: number;
  readonly #record = Buffer.alloc(recordBytes);

  constructor(path: string) {
    this.#fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  }

  /** undefined where nothing has been written yet. */
  read(): LogProgress | undefined {
    if (readSync(this.#fd, this.#record, 0, recordBytes, 0) < recordBytes) return undefined;
    const number = (at: number) => Number(this.#record.readBigUInt64LE(at));
    return { ino: this.#record.readBigUInt64LE(0), size: number(8), consumed: [number(16), number(24)] };
  }

  write({ ino, size, consumed }: LogProgress): void {
    [ino, size, ...consumed].forEach((value, i) => {
      this.#record.writeBigUInt64LE(BigInt(value), i * 8);
    });
    writeSync(this.#fd, this.#record, 0, recordBytes, 0);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

import { statfs } from 'node:fs/promises';
import type { Context } from '../async/context.ts';
import { resourceExhausted } from '../errors/error.ts';
import type { TransferProgress } from './progress.ts';

/** How many bytes `berth prune` would free for a caller. */
type Freeable = (ctx: Context) => Promise<number>;

/** What one thing will still take on the disk, and how many transfers count on it. */
interface Claim {
  bytes: number;
  holders: number;
}

/** A blob that is to come, and whether it is to be unpacked, too. */
export interface Incoming {
  readonly digest: string;
  readonly sizeBytes: number;
  /** What an earlier try left of it. */
  readonly hereBytes: number;
  readonly unpacks: boolean;
}

/** Room that a transfer counts on. Disposing gives up what was not used. */
export interface Reservation extends Disposable {
  /** What has come or was unpacked needs no reservation any more: it is on the disk. */
  note(step: TransferProgress): void;
}

const blobKey = (digest: string): string => `blob ${digest}`;
const unpackKey = (digest: string): string => `unpacked ${digest}`;

/**
 * The room on the file system of a directory, shared out to the transfers under way: a pull that cannot fit beside the
 * others fails before its first byte. Two that bring the same blob count it once. An unpacked layer counts as much as
 * its blob: it seldom takes less, and how much more nobody knows beforehand.
 */
export class DiskSpace {
  readonly #dir: string;
  readonly #freeable: Freeable | undefined;
  readonly #claims = new Map<string, Claim>();

  constructor(dir: string, freeable?: Freeable) {
    this.#dir = dir;
    this.#freeable = freeable;
  }

  /** @throws resource_exhausted saying what is missing and what pruning would free */
  async reserve(ctx: Context, incoming: readonly Incoming[], name: string): Promise<Reservation> {
    const wanted = new Map<string, number>();
    for (const { digest, sizeBytes, hereBytes, unpacks } of incoming) {
      wanted.set(blobKey(digest), Math.max(0, sizeBytes - hereBytes));
      if (unpacks) wanted.set(unpackKey(digest), sizeBytes);
    }
    for (const [key, bytes] of wanted) this.#claim(key, bytes);
    const reservation = {
      note: (step: TransferProgress) => this.#note(step),
      [Symbol.dispose]: () => {
        for (const key of wanted.keys()) this.#release(key);
        wanted.clear();
      },
    };
    try {
      await this.#check(ctx, wanted, name);
      return reservation;
    } catch (error) {
      reservation[Symbol.dispose]();
      throw error;
    }
  }

  async #check(ctx: Context, wanted: ReadonlyMap<string, number>, name: string): Promise<void> {
    const { bavail, bsize } = await statfs(this.#dir, { bigint: true });
    const freeBytes = Number(bavail * bsize);
    const own = [...wanted.keys()].reduce((sum, key) => sum + (this.#claims.get(key)?.bytes ?? 0), 0);
    const others = [...this.#claims.values()].reduce((sum, { bytes }) => sum + bytes, 0) - own;
    const missing = own + others - freeBytes;
    if (own === 0 || missing <= 0) return;
    const reserved = others > 0 ? ` (${mebibytes(others)} of it for other pulls)` : '';
    throw resourceExhausted(
      `${name}: not enough disk space at ${this.#dir}: ${mebibytes(own)} needed, ${mebibytes(freeBytes)} free${reserved}, ` +
        `${mebibytes(missing)} missing${await this.#hint(ctx)}`,
    );
  }

  async #hint(ctx: Context): Promise<string> {
    const bytes = await this.#freeable?.(ctx).catch(() => undefined);
    return bytes === undefined ? '' : `; berth prune -a would free ${mebibytes(bytes)}`;
  }

  #note({ phase, descriptor, offset, total }: TransferProgress): void {
    if (descriptor === undefined) return;
    const [blob, unpacked] = [blobKey(descriptor.digest), unpackKey(descriptor.digest)];
    if (phase === 'downloading') this.#shrink(blob, total - offset);
    else if (phase === 'complete' || phase === 'exists') this.#shrink(blob, 0);
    else if (phase === 'extracting') this.#shrink(unpacked, total - offset);
    else if (phase === 'extracted') this.#shrink(unpacked, 0);
  }

  #claim(key: string, bytes: number): void {
    const claim = this.#claims.get(key);
    if (claim === undefined) this.#claims.set(key, { bytes, holders: 1 });
    else claim.holders++;
  }

  #shrink(key: string, bytes: number): void {
    const claim = this.#claims.get(key);
    if (claim !== undefined) claim.bytes = Math.max(0, Math.min(claim.bytes, bytes));
  }

  #release(key: string): void {
    const claim = this.#claims.get(key);
    if (claim !== undefined && --claim.holders === 0) this.#claims.delete(key);
  }
}

const mebibytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;

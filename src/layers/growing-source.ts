import { aborted } from '../errors/error.ts';

/**
 * How many bytes of a file are there to be read, in shared memory: only more with time, or {@link givenUp} when no more will
 * come and what came is worth nothing.
 */
export type Grown = BigInt64Array<SharedArrayBuffer>;

const givenUp = -1n;

/** A compressed layer in a file that is still being written, for a worker that reads behind the writer. */
export interface GrowingSource {
  /** Open until the layer is applied. Descriptors belong to the process, so a thread can read those of another. */
  readonly fd: number;
  /** Where the layer ends. */
  readonly sizeBytes: number;
  readonly grown: Grown;
}

export const newGrown = (bytes: number): Grown => {
  const grown = new BigInt64Array(new SharedArrayBuffer(8));
  grown[0] = BigInt(bytes);
  return grown;
};

/** The file holds everything up to `bytes`. */
export function growTo(grown: Grown, bytes: number): void {
  if (!isGivenUp(grown)) announce(grown, BigInt(bytes));
}

/** Ends whoever reads the file. */
export const giveUp = (grown: Grown): void => announce(grown, givenUp);

export const isGivenUp = (grown: Grown): boolean => Atomics.load(grown, 0) === givenUp;

function announce(grown: Grown, value: bigint): void {
  Atomics.store(grown, 0, value);
  Atomics.notify(grown, 0);
}

/** Waits, in the worker, until there are bytes behind `offset`. @returns where they end @throws aborted (given up) */
export async function grownPast(grown: Grown, offset: number): Promise<number> {
  for (;;) {
    const bytes = Atomics.load(grown, 0);
    if (bytes === givenUp) throw aborted('what was read began again');
    if (bytes > BigInt(offset)) return Number(bytes);
    await Atomics.waitAsync(grown, 0, bytes).value;
  }
}

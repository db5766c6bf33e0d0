/** How often the event loop looks at what a worker has done. */
const everyMs = 200;

/** Where a worker notes how far it is: compressed bytes read, uncompressed bytes unpacked. Shared memory, no messages. */
export type ApplyCounter = BigInt64Array<SharedArrayBuffer>;

export const newCounter = (): ApplyCounter => new BigInt64Array(new SharedArrayBuffer(16));

/** Notes, in the worker, that `bytes` more were read (`0`) or unpacked (`1`). */
export function count(counter: ApplyCounter | undefined, what: 0 | 1, bytes: number): void {
  if (counter !== undefined) Atomics.add(counter, what, BigInt(bytes));
}

/** Tells how many compressed bytes are read, five times a second as long as anything moves, until disposed. */
export function watchCounter(counter: ApplyCounter, tell: (readBytes: number) => void): Disposable {
  let last = 0n;
  const timer = setInterval(() => {
    const [read, unpacked] = [Atomics.load(counter, 0), Atomics.load(counter, 1)];
    if (read + unpacked === last) return;
    last = read + unpacked;
    tell(Number(read));
  }, everyMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Most that is held, in bytes: some 5,000 containers as ctr makes them. */
const defaultMaxBytes = 32 * 2 ** 20;

/**
 * Encoded containers as they were last read, so that a list reads only what has changed since the one before
 * (docs/decisions/0037). Whoever writes a row forgets its container in the same turn. What would go beyond the limit is not held.
 */
export class EncodedContainers {
  readonly #maxBytes: number;
  readonly #held = new Map<string, Uint8Array>();
  #bytes = 0;

  constructor(maxBytes = defaultMaxBytes) {
    this.#maxBytes = maxBytes;
  }

  get(namespace: string, id: string): Uint8Array | undefined {
    return this.#held.get(keyOf(namespace, id));
  }

  /** Holds `bytes`, if there is room, until they are forgotten. */
  set(namespace: string, id: string, bytes: Uint8Array): void {
    this.forget(namespace, id);
    if (this.#bytes + bytes.length > this.#maxBytes) return;
    this.#bytes += bytes.length;
    this.#held.set(keyOf(namespace, id), bytes);
  }

  forget(namespace: string, id: string): void {
    const key = keyOf(namespace, id);
    this.#bytes -= this.#held.get(key)?.length ?? 0;
    this.#held.delete(key);
  }

  clear(): void {
    this.#held.clear();
    this.#bytes = 0;
  }
}

/** Neither may hold a slash. */
const keyOf = (namespace: string, id: string): string => `${namespace}/${id}`;

import { aborted, unavailable } from '../errors/error.ts';

/** A typed value as it stands on the wire. */
export interface StreamItem {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

/** Items that wait to be sent before `send` makes its caller wait. */
const maxQueued = 64;

/**
 * One stream of the Streaming service that other calls refer to by name: typed items both ways, at their readers' pace.
 * It lives as long as the client's call does, or until `close`.
 */
export class NamedStream {
  readonly id: string;
  readonly #incoming: AsyncIterator<StreamItem>;
  readonly #signal: AbortSignal;
  #queue: StreamItem[] = [];
  #closed = false;
  #waiting: (() => void)[] = [];
  readonly #sent = Promise.withResolvers<void>();

  /** `incoming` is what the client sends after its first message; `signal` fires when the client is gone. */
  constructor(id: string, incoming: AsyncIterator<StreamItem>, signal: AbortSignal) {
    this.id = id;
    this.#incoming = incoming;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#notify(), { once: true });
  }

  /** Sends an item, waiting while 64 are queued. @throws aborted (client gone), unavailable (closed) */
  async send(item: StreamItem): Promise<void> {
    while (this.#open() && this.#queue.length >= maxQueued) await this.#changed();
    if (this.#signal.aborted) throw aborted(`client of stream ${this.id} is gone`, this.#signal.reason);
    if (this.#closed) throw unavailable(`stream ${this.id} is closed`);
    this.#queue.push(item);
    this.#notify();
  }

  /** The next item from the client; undefined once it sends no more. @throws what ended the call */
  async receive(): Promise<StreamItem | undefined> {
    const next = await this.#incoming.next();
    return next.done === true ? undefined : next.value;
  }

  /** Ends the stream once everything queued is sent. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#notify();
  }

  /** Closes the stream and waits until everything is on its way, or the client is gone. */
  async finish(): Promise<void> {
    this.close();
    await this.#sent.promise;
  }

  /** What the service sends to the client, until the stream is closed or the client is gone. */
  async *outgoing(): AsyncGenerator<StreamItem> {
    try {
      for (;;) {
        const items = this.#queue;
        this.#queue = [];
        this.#notify();
        yield* items;
        if (this.#queue.length > 0) continue;
        if (!this.#open()) return;
        await this.#changed();
      }
    } finally {
      this.#sent.resolve();
    }
  }

  #open(): boolean {
    return !this.#closed && !this.#signal.aborted;
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

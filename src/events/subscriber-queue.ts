import { resourceExhausted } from '../errors/error.ts';
import type { Envelope } from './events.ts';

/** What one subscriber may lag behind, before it is ended. */
export const maxQueuedEvents = 16_384;
export const maxQueuedBytes = 16 * 1024 * 1024;

/** The events one subscriber has yet to take, in order. */
export class SubscriberQueue implements AsyncIterableIterator<Envelope> {
  #queue: Envelope[] = [];
  #head = 0;
  #bytes = 0;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;
  readonly #onEnd: () => void;

  /** `onEnd` is called once, when nothing more can be pushed. */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  /** Adds an event; a full queue ends the subscription with resource_exhausted once what is queued was taken. */
  push(envelope: Envelope): void {
    if (this.#ended) return;
    if (this.#queue.length - this.#head >= maxQueuedEvents || this.#bytes >= maxQueuedBytes) {
      this.fail(resourceExhausted('event subscriber reads too slowly'));
      return;
    }
    this.#queue.push(envelope);
    this.#bytes += envelope.event.value.byteLength;
    this.#wake?.();
  }

  /** Ends with an error, after what is queued. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.end();
  }

  /** No more events; those queued can still be taken. Idempotent. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<Envelope, undefined>> {
    for (;;) {
      const envelope = this.#take();
      if (envelope !== undefined) return { done: false, value: envelope };
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#ended) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  async return(): Promise<IteratorResult<Envelope, undefined>> {
    this.#queue = [];
    this.#head = 0;
    this.#failure = undefined;
    this.end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(): Envelope | undefined {
    const envelope = this.#queue[this.#head];
    if (envelope === undefined) return undefined;
    this.#bytes -= envelope.event.value.byteLength;
    if (++this.#head >= 1024 || this.#head === this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return envelope;
  }
}

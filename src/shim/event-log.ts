import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { ShimEvent } from '../rpc/ttrpc-shim.ts';

/** Events of one answer, so that it stays far below ttrpc's 4 MiB. */
const batch = 256;
/** Events kept while no daemon asks; older ones are dropped, so that a dead daemon cannot fill the memory. */
const maxKept = 65_536;

/** The shim's events: numbered from 1, kept until the daemon has acknowledged them. */
export class EventLog {
  #events: ShimEvent[] = [];
  #nextNumber = 1;
  #wake = Promise.withResolvers<void>();

  /** Appends an event; `schema` names its type. */
  publish<S extends DescMessage>(
    namespace: string,
    topic: string,
    schema: S,
    event: MessageInitShape<S>,
  ): void {
    const bytes = toBinary(schema, create(schema, event));
    this.#events.push({
      number: this.#nextNumber++,
      timestampMs: Date.now(),
      namespace,
      topic,
      typeUrl: schema.typeName,
      value: Buffer.from(bytes).toString('base64'),
    });
    if (this.#events.length > maxKept) this.#events.shift();
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  /** Forgets what is acknowledged and answers with what follows, waiting for it up to `waitMs` or an abort. */
  async after(acknowledged: number, waitMs: number, signal: AbortSignal): Promise<readonly ShimEvent[]> {
    const keep = this.#events.findIndex((event) => event.number > acknowledged);
    this.#events = keep === -1 ? [] : this.#events.slice(keep);
    if (this.#events.length === 0) await wokenBy(this.#wake.promise, waitMs, signal);
    return this.#events.slice(0, batch);
  }
}

async function wokenBy(wake: Promise<void>, waitMs: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, waitMs);
  signal.addEventListener('abort', () => resolve(), { once: true });
  await Promise.race([promise, wake]);
  clearTimeout(timer);
}

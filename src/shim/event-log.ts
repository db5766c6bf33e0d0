import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { ShimEvent } from '../rpc/ttrpc-shim.ts';
import type { EventJournal } from './event-journal.ts';

/** Events of one answer, so that it stays far below ttrpc's 4 MiB. */
const batch = 256;
/** Events kept while no daemon asks; older ones are dropped, so that a dead daemon cannot fill the memory. */
const maxKept = 65_536;

/** The shim's events: numbered from 1, kept until the daemon has acknowledged them, on disk where there is a journal. */
export class EventLog {
  readonly #journal: EventJournal | undefined;
  #events: ShimEvent[];
  #lastNumber: number;
  #wake = Promise.withResolvers<void>();

  constructor(journal?: EventJournal) {
    this.#journal = journal;
    this.#events = [...(journal?.left ?? [])];
    this.#lastNumber = journal?.lastNumber ?? 0;
  }

  /** Number of the newest event there ever was. */
  get lastNumber(): number {
    return this.#lastNumber;
  }

  /** Appends an event; `schema` names its type. */
  publish<S extends DescMessage>(
    namespace: string,
    topic: string,
    schema: S,
    event: MessageInitShape<S>,
  ): void {
    const bytes = toBinary(schema, create(schema, event));
    const entry: ShimEvent = {
      number: ++this.#lastNumber,
      timestampMs: Date.now(),
      namespace,
      topic,
      typeUrl: schema.typeName,
      value: Buffer.from(bytes).toString('base64'),
    };
    this.#events.push(entry);
    this.#journal?.append(entry);
    if (this.#events.length > maxKept) this.#events.shift();
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  /** Forgets what is acknowledged and answers with what follows, waiting for it up to `waitMs` or an abort. */
  async after(acknowledged: number, waitMs: number, signal: AbortSignal): Promise<readonly ShimEvent[]> {
    const keep = this.#events.findIndex((event) => event.number > acknowledged);
    if (keep !== 0 && this.#events.length > 0) {
      this.#events = keep === -1 ? [] : this.#events.slice(keep);
      this.#journal?.acknowledge(acknowledged, this.#events.length === 0);
    }
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

import { invalidArgument, outOfRange } from '../errors/error.ts';
import type { Envelope, Events } from '../events/events.ts';
import type { EventJournal, RecordedEvent, Start } from '../events/journal.ts';
import type { Db, Tx } from './db.ts';
import { RecentEvents } from './recent-events.ts';

/** How much of the past is kept. */
export interface JournalLimits {
  readonly count: number;
  /** Of the events' own bytes. */
  readonly bytes: number;
  readonly ageMs: number;
}

export const defaultJournalLimits: JournalLimits = {
  count: 32_768,
  bytes: 32 * 1024 * 1024,
  ageMs: 7 * 24 * 3_600_000,
};

/** Events between two looks at the limits, and events removed at a time. */
const pruneEvery = 256;
const pageSize = 256;
/** After a power cut the last numbers may have been told and lost: no start gives them out again. */
const idsPerStart = 2 ** 20;

interface Row {
  id: number;
  at: number;
  namespace: string;
  topic: string;
  type: string;
  value: Uint8Array;
}

/** The journal of events in the database, written in the transaction of what they tell. */
export class EventRecords implements EventJournal {
  readonly #db: Db;
  readonly #events: Pick<Events, 'deliver'>;
  readonly #limits: JournalLimits;
  readonly #epoch: string;
  readonly #recent: RecentEvents;
  #sincePrune = 0;
  #pruning = false;

  constructor(db: Db, events: Pick<Events, 'deliver'>, limits = defaultJournalLimits) {
    this.#db = db;
    this.#events = events;
    this.#limits = limits;
    this.#epoch = db.get<{ epoch: string }>('SELECT epoch FROM event_journal')?.epoch ?? '';
    this.#recent = new RecentEvents(this.#lastId());
  }

  /** Call once before anything is recorded. */
  async open(): Promise<void> {
    const next = Math.max(this.#lastId(), this.#pruned()) + idsPerStart;
    await this.#db.write((tx) => {
      tx.run("DELETE FROM sqlite_sequence WHERE name = 'events'");
      tx.run("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", next);
    });
  }

  /** Records an event inside the mutation it tells of; it is delivered when that is durable, and gone if that fails. */
  record(tx: Tx, { timestamp, namespace, topic, event }: Envelope): void {
    const sql = 'INSERT INTO events (at, namespace, topic, type, value) VALUES (?, ?, ?, ?, ?)';
    const { lastId } = tx.run(sql, timestamp.getTime(), namespace, topic, event.typeUrl, event.value);
    tx.after(() => this.#deliverTo(lastId));
  }

  async append(envelope: Envelope): Promise<void> {
    await this.#db.write((tx) => this.record(tx, envelope), { durable: false, counted: false });
  }

  cursorOf(id: number): string {
    return `${this.#epoch}-${id}`;
  }

  positionOf({ cursor = '', since }: Start): number {
    if (cursor !== '') return this.#positionOfCursor(cursor);
    if (since === undefined) return this.#recent.last;
    // Times are those of the events' makers, so not quite in order: the first that is late enough decides.
    const sql = 'SELECT id FROM events WHERE at >= ? ORDER BY id LIMIT 1';
    const first = this.#db.get<{ id: number }>(sql, since.getTime());
    return first === undefined ? this.#recent.last : first.id - 1;
  }

  async *follow(position: number, signal: AbortSignal): AsyncIterable<RecordedEvent> {
    for (let at = position; !signal.aborted; ) {
      const page = this.#after(at);
      if (page.length === 0) await this.#recent.changed(at, signal);
      for (const event of page) {
        if (signal.aborted) return;
        yield event;
        at = event.id;
      }
    }
  }

  #positionOfCursor(cursor: string): number {
    const [epoch, number = ''] = cursor.split('-');
    const id = Number(number);
    if (!/^\d{1,15}$/.test(number))
      throw invalidArgument(`invalid cursor ${JSON.stringify(cursor.slice(0, 100))}`);
    if (epoch !== this.#epoch) throw outOfRange(`cursor ${cursor} is of another journal`);
    if (id > this.#recent.last) throw outOfRange(`cursor ${cursor} is ahead of the journal`);
    this.#mustBeKept(id);
    return id;
  }

  #mustBeKept(position: number): void {
    if (position < this.#pruned())
      throw outOfRange(`events after cursor ${this.cursorOf(position)} are not kept any more`);
  }

  #after(position: number): readonly RecordedEvent[] {
    const recent = this.#recent.after(position);
    if (recent !== undefined) return recent;
    this.#mustBeKept(position);
    return this.#read(position, this.#recent.last, pageSize);
  }

  /** Numbers are given in the order of commits, and a transaction is seen as a whole: none shows up later. */
  #read(after: number, to: number, limit: number): RecordedEvent[] {
    const sql = 'SELECT * FROM events WHERE id > ? AND id <= ? ORDER BY id LIMIT ?';
    return this.#db.all<Row>(sql, after, to, limit).map(fromRow);
  }

  #deliverTo(id: number): void {
    for (const event of this.#read(this.#recent.last, id, -1)) {
      this.#recent.add(event);
      this.#events.deliver(event);
      this.#sincePrune++;
    }
    if (this.#sincePrune >= pruneEvery && !this.#pruning) void this.#prune();
  }

  /** Removes a page of the oldest at a time until the limits hold. What fails now is done with the next events. */
  async #prune(): Promise<void> {
    this.#pruning = true;
    this.#sincePrune = 0;
    try {
      while (await this.#db.write((tx) => this.#pruneOnce(tx), { durable: false, counted: false }));
    } catch {
      // The disk is full, or the daemon ends.
    } finally {
      this.#pruning = false;
    }
  }

  #pruneOnce(tx: Tx): boolean {
    const { count, bytes, ageMs } = this.#limits;
    const all = tx.get<Totals>('SELECT count(*) AS count, total(length(value)) AS bytes FROM events');
    const oldest = tx.get<{ at: number }>('SELECT at FROM events ORDER BY id LIMIT 1');
    if (all === undefined || oldest === undefined) return false;
    const isOld = oldest.at < Date.now() - ageMs;
    if (all.count <= count && all.bytes <= bytes && !isOld) return false;
    const page = Math.min(
      pageSize,
      isOld || all.bytes > bytes ? Math.ceil(all.count / 2) : all.count - count,
    );
    const last =
      tx.get<{ id: number }>('SELECT id FROM events ORDER BY id LIMIT 1 OFFSET ?', page - 1)?.id ?? 0;
    tx.run('DELETE FROM events WHERE id <= ?', last);
    tx.run('UPDATE event_journal SET pruned = ?', last);
    return true;
  }

  #lastId(): number {
    return this.#db.get<{ id: number | null }>('SELECT max(id) AS id FROM events')?.id ?? this.#pruned();
  }

  /** Number of the last event that was removed. */
  #pruned(): number {
    return this.#db.get<{ pruned: number }>('SELECT pruned FROM event_journal')?.pruned ?? 0;
  }
}

interface Totals {
  readonly count: number;
  readonly bytes: number;
}

const fromRow = ({ id, at, namespace, topic, type, value }: Row): RecordedEvent => ({
  id,
  timestamp: new Date(at),
  namespace,
  topic,
  event: { typeUrl: type, value },
});

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isKind } from '../errors/error.ts';
import type { Envelope } from '../events/events.ts';
import type { RecordedEvent } from '../events/journal.ts';
import { type Db, openDb } from './db.ts';
import { EventRecords, type JournalLimits } from './event-records.ts';

interface Subject extends AsyncDisposable {
  readonly path: string;
  readonly db: Db;
  readonly journal: EventRecords;
  readonly delivered: string[];
}

async function open(limits?: JournalLimits, at?: string): Promise<Subject> {
  const dir = at === undefined ? await mkdtemp(join(tmpdir(), 'berth-events-')) : undefined;
  const path = at ?? join(dir ?? '', 'metadata.db');
  const db = openDb(path);
  const delivered: string[] = [];
  const journal = new EventRecords(db, { deliver: ({ topic }) => void delivered.push(topic) }, limits);
  await journal.open();
  const close = async () => {
    await db[Symbol.asyncDispose]();
    if (dir !== undefined) await rm(dir, { recursive: true });
  };
  return { path, db, journal, delivered, [Symbol.asyncDispose]: close };
}

const envelope = (topic: string, bytes = 1, timestamp = new Date()): Envelope => ({
  timestamp,
  namespace: 'n',
  topic,
  event: { typeUrl: 't', value: new Uint8Array(bytes) },
});

/** The next `count` events after a position. */
async function take(journal: EventRecords, position: number, count: number): Promise<RecordedEvent[]> {
  const seen: RecordedEvent[] = [];
  if (count === 0) return seen;
  for await (const event of journal.follow(position, new AbortController().signal))
    if (seen.push(event) === count) break;
  return seen;
}

const topicsOf = (events: readonly RecordedEvent[]): string[] => events.map(({ topic }) => topic);

test('an event is recorded with its mutation, and gone with it', async () => {
  await using subject = await open();
  const { db, journal, delivered } = subject;
  const position = journal.positionOf({});
  await db.write((tx) => journal.record(tx, envelope('/one')));
  const failing = db.write((tx) => {
    journal.record(tx, envelope('/never'));
    throw new Error('no');
  });
  await assert.rejects(failing, /no/);
  await journal.append(envelope('/two'));
  assert.deepEqual(delivered, ['/one', '/two']);
  assert.deepEqual(topicsOf(await take(journal, position, 2)), ['/one', '/two']);
});

test('events come in the order of the journal, however fast their mutations become durable', async () => {
  await using subject = await open();
  const { db, journal, delivered } = subject;
  const position = journal.positionOf({});
  const writes = Array.from({ length: 300 }, (_, n) =>
    db.write((tx) => journal.record(tx, envelope(`/${n}`)), { durable: n % 3 === 0 }),
  );
  await Promise.all(writes);
  const wanted = Array.from({ length: 300 }, (_, n) => `/${n}`);
  assert.deepEqual(delivered, wanted);
  assert.deepEqual(topicsOf(await take(journal, position, 300)), wanted);
});

test('a cursor is good after a restart, and finds what memory has forgotten', async () => {
  await using subject = await open();
  const { path, db, journal } = subject;
  const start = journal.positionOf({});
  for (let n = 0; n < 3000; n++) void journal.append(envelope(`/${n}`));
  await journal.append(envelope('/last'));
  const [first] = await take(journal, start, 1);
  const cursor = journal.cursorOf(first?.id ?? 0);
  await db[Symbol.asyncDispose]();
  await using again = await open(undefined, path);
  await again.journal.append(envelope('/after'));
  const events = await take(again.journal, again.journal.positionOf({ cursor }), 3001);
  assert.deepEqual([events[0]?.topic, events.at(-2)?.topic, events.at(-1)?.topic], ['/1', '/last', '/after']);
  assert.equal(new Set(events.map(({ id }) => id)).size, 3001);
});

test('a moment finds the first event that is late enough', async () => {
  await using subject = await open();
  const { journal } = subject;
  for (const second of [1, 2, 3]) await journal.append(envelope(`/${second}`, 1, new Date(second * 1000)));
  const [found] = await take(journal, journal.positionOf({ since: new Date(1500) }), 1);
  assert.equal(found?.topic, '/2');
  assert.equal(journal.positionOf({ since: new Date(9000) }), journal.positionOf({}));
});

for (const [what, limits] of [
  ['number', { count: 300, bytes: 1e9, ageMs: 1e9 }],
  ['bytes', { count: 1e9, bytes: 300 * 100, ageMs: 1e9 }],
] as const)
  test(`the oldest go when the ${what} is over its limit, and whoever wants them is told`, async () => {
    await using subject = await open(limits);
    const { db, journal } = subject;
    const old = journal.cursorOf(journal.positionOf({}));
    for (let n = 0; n < 2000; n++) await journal.append(envelope(`/${n}`, 100));
    const count = () => db.get<{ n: number }>('SELECT count(*) AS n FROM events')?.n ?? 0;
    while (count() > 600) await journal.append(envelope('/more', 100));
    assert.ok(count() >= 150, `${count()} events are left`);
    const followed = async () => take(journal, journal.positionOf({ cursor: old }), 1);
    await assert.rejects(followed(), (e) => isKind(e, 'out_of_range') && /not kept any more/.test(String(e)));
  });

test('events that are too old go with the next ones', async () => {
  await using subject = await open({ count: 1e9, bytes: 1e9, ageMs: 3_600_000 });
  const { db, journal } = subject;
  await journal.append(envelope('/old', 1, new Date(Date.now() - 7_200_000)));
  const kept = () => db.get("SELECT 1 FROM events WHERE topic = '/old'") !== undefined;
  for (let n = 0; kept() && n < 5000; n++) await journal.append(envelope('/new'));
  assert.equal(kept(), false);
});

test('cursors of nobody are refused', async () => {
  await using subject = await open();
  const { journal } = subject;
  await journal.append(envelope('/one'));
  const [epoch = ''] = journal.cursorOf(1).split('-');
  for (const cursor of ['x', '1', `${epoch}-x`, `${epoch}--1`, `${epoch}-1e3`])
    assert.throws(
      () => journal.positionOf({ cursor }),
      (e) => isKind(e, 'invalid_argument'),
      cursor,
    );
  for (const cursor of [`${epoch}-999999999999`, 'ffffffffffff-1'])
    assert.throws(
      () => journal.positionOf({ cursor }),
      (e) => isKind(e, 'out_of_range'),
      cursor,
    );
});

test('a follower ends with its signal', async () => {
  await using subject = await open();
  const stop = new AbortController();
  const events = subject.journal.follow(subject.journal.positionOf({}), stop.signal)[Symbol.asyncIterator]();
  const next = events.next();
  stop.abort();
  assert.equal((await next).done, true);
});

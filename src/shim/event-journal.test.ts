import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { TaskStartSchema } from '../gen/containerd/events/events_pb.ts';
import { EventJournal } from './event-journal.ts';
import { EventLog } from './event-log.ts';

const dir = mkdtempSync(join(tmpdir(), 'journal-'));
after(() => rmSync(dir, { recursive: true }));
const signal = new AbortController().signal;
const start = (log: EventLog) =>
  log.publish('ns', '/tasks/start', TaskStartSchema, { containerId: 'c', pid: 1 });
const numbersOf = async (log: EventLog, acknowledged = 0) =>
  (await log.after(acknowledged, 0, signal)).map(({ number }) => number);

test('events survive the shim until they are acknowledged, and numbers go on', async () => {
  const path = join(dir, 'a');
  const first = new EventLog(new EventJournal(path));
  for (let i = 0; i < 5; i++) start(first);
  assert.deepEqual(await numbersOf(first, 2), [3, 4, 5]);
  const journal = new EventJournal(path);
  const second = new EventLog(journal);
  start(second);
  assert.deepEqual(await numbersOf(second), [3, 4, 5, 6]);
  assert.deepEqual(await numbersOf(second, 6), []);
  const third = new EventJournal(path);
  assert.deepEqual([third.left, third.lastNumber, third.id], [[], 6, journal.id]);
});

test('a line that a kill cut off does no harm', async () => {
  const path = join(dir, 'b');
  start(new EventLog(new EventJournal(path)));
  appendFileSync(path, readFileSync(path, 'utf8').slice(-50, -20));
  const log = new EventLog(new EventJournal(path));
  start(log);
  assert.deepEqual(await numbersOf(log), [1, 2]);
  assert.deepEqual(await numbersOf(new EventLog(new EventJournal(path))), [1, 2]);
});

test('a journal stays small however many events go through it', async () => {
  const path = join(dir, 'c');
  const log = new EventLog(new EventJournal(path));
  for (let i = 1; i <= 5000; i++) {
    start(log);
    if (i % 250 === 0) await log.after(i, 0, signal);
  }
  assert.ok(statSync(path).size < 300 * 1024);
  assert.equal(new EventJournal(path).lastNumber, 5000);
});

import assert from 'node:assert/strict';
import fs, { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isKind } from '../errors/error.ts';
import { returnFreeMemory } from '../sys/free-memory.ts';
import { openDb } from './db.ts';

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'berth-db-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return join(directory, 'metadata.db');
}

const add = 'INSERT INTO namespaces (name) VALUES (?)';
const names = 'SELECT name FROM namespaces ORDER BY name';

test('what was written is there after the database is opened again', async (t) => {
  const path = scratch(t);
  {
    await using db = openDb(path);
    await db.write((tx) => tx.run(add, 'a'));
  }
  await using db = openDb(path);
  assert.deepEqual(
    db.all<{ name: string }>(names).map((row) => row.name),
    ['a'],
  );
});

test('a mutation that throws leaves the others of its transaction alone', async (t) => {
  await using db = openDb(scratch(t));
  const results = await Promise.allSettled([
    db.write((tx) => tx.run(add, 'a')),
    db.write((tx) => {
      tx.run(add, 'b');
      throw new Error('no');
    }),
    db.write((tx) => tx.run(add, 'a')),
    db.write((tx) => tx.run(add, 'c')),
  ]);
  assert.deepEqual(
    results.map((r) => r.status),
    ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
  );
  assert.equal(db.all(names).length, 2);
});

test('hooks run in commit order, before the promise resolves, and not for a mutation that threw', async (t) => {
  await using db = openDb(scratch(t));
  const seen: string[] = [];
  const record = (name: string, fails = false) =>
    db
      .write((tx) => {
        tx.after(() => seen.push(name));
        if (fails) throw new Error(name);
      })
      .then(
        () => seen.push(`${name} resolved`),
        () => seen.push(`${name} rejected`),
      );
  await Promise.all([record('1'), record('2', true), record('3')]);
  assert.deepEqual(
    seen.filter((s) => !s.includes(' ')),
    ['1', '3'],
  );
  assert.ok(seen.indexOf('3') < seen.indexOf('3 resolved'));
});

test('what is refused does not wait for the disk, unless something it may rest on does', async (t) => {
  await using db = openDb(scratch(t));
  const syncs = t.mock.method(fs, 'fdatasync');
  syncBuiltinESMExports();
  t.after(() => {
    syncs.mock.restore();
    syncBuiltinESMExports();
  });
  const refuse = () =>
    db.write(() => {
      throw new Error('no');
    });
  await db.write((tx) => tx.run(add, 'a'));
  assert.equal(syncs.mock.callCount(), 1);
  await assert.rejects(refuse(), /no/);
  assert.equal(syncs.mock.callCount(), 1);
  await db.write((tx) => tx.run(add, 'b'), { durable: false });
  await assert.rejects(refuse(), /no/);
  assert.equal(syncs.mock.callCount(), 2);
});

test('a promise that need not be durable resolves too, and closing waits for all of them', async (t) => {
  const path = scratch(t);
  const db = openDb(path);
  const last = db.write((tx) => tx.run(add, 'x'));
  assert.equal((await db.write((tx) => tx.run(add, 'y'), { durable: false })).changes, 1);
  await db[Symbol.asyncDispose]();
  await last;
  await assert.rejects(
    db.write(() => 1),
    (e) => isKind(e, 'unavailable'),
  );
});

test('a database of a newer Berth is refused, and untouched', (t) => {
  const path = scratch(t);
  const sqlite = new DatabaseSync(path);
  sqlite.exec('PRAGMA user_version = 999');
  sqlite.close();
  assert.throws(
    () => openDb(path),
    (e) => isKind(e, 'failed_precondition') && /version 999/.test(String(e)),
  );
});

test('a damaged database is refused by name, an empty file is not', async (t) => {
  const damaged = scratch(t);
  writeFileSync(damaged, 'not a database, not even close to one'.repeat(200));
  assert.throws(
    () => openDb(damaged),
    (e) => isKind(e, 'data_loss') && String(e).includes(damaged),
  );
  const empty = scratch(t);
  writeFileSync(empty, '');
  await using db = openDb(empty);
  assert.equal(db.all(names).length, 0);
});

test('the log is checkpointed while writing, so it stays bounded', async (t) => {
  const path = scratch(t);
  await using db = openDb(path);
  const label = 'x'.repeat(4000);
  for (let round = 0; round < 120; round++) {
    await Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        db.write((tx) => tx.run('INSERT INTO namespaces VALUES (?, ?)', `${round}.${i}`, label), {
          durable: i === 0,
        }),
      ),
    );
  }
  // A thread brings the pages to the database file.
  while (statSync(path).size <= 4 << 20) await sleep(10);
  assert.ok(statSync(`${path}-wal`).size < 40 << 20);
  assert.equal(db.all(names).length, 3600);
});

test('pages of the file that were read are given back, and read again', async (t) => {
  await using db = openDb(scratch(t));
  const long = 'x'.repeat(2 ** 20);
  await db.write((tx) => {
    for (let i = 0; i < 7; i++) tx.run(add, `${i}${long}`);
  });
  const lengths = () => db.all<{ length: number }>('SELECT length(name) AS length FROM namespaces');
  const before = lengths();
  await returnFreeMemory();
  const kept = process.memoryUsage.rss();
  db.releaseMemory();
  await returnFreeMemory();
  assert.ok(kept - process.memoryUsage.rss() > 4 * 2 ** 20, 'of the 7 MiB kept');
  assert.deepEqual(lengths(), before);
  await db[Symbol.asyncDispose]();
  db.releaseMemory();
});

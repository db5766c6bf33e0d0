import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const rounds = 8;
const program = new URL('./writer-process.ts', import.meta.url).pathname;

/** Runs the writer and kills it with SIGKILL in the middle; answers what it said was done. */
async function runAndKill(directory: string): Promise<string[]> {
  const child = spawn(process.execPath, [program, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  await once(child.stdout, 'data');
  await sleep(Math.random() * 150);
  child.kill('SIGKILL');
  await once(child, 'close');
  return said.split('\n').slice(0, -1);
}

/** Looks at the files by itself: SQLite's own shell words and plain reads, none of our stores. */
async function check(directory: string, acknowledged: readonly string[]): Promise<void> {
  const db = new DatabaseSync(join(directory, 'metadata.db'));
  try {
    assert.deepEqual(Object.values(db.prepare('PRAGMA integrity_check').get() ?? {}), ['ok']);
    const image = db.prepare('SELECT digest FROM images WHERE name = ?');
    const snapshot = db.prepare('SELECT state FROM snapshots WHERE name = ?');
    for (const line of acknowledged) {
      const [what, name = '', digest] = line.split(' ');
      if (what === 'image') assert.equal(image.get(name)?.digest, digest, `I1: ${line}`);
      else assert.equal(snapshot.get(name)?.state, 'ready', `I1: ${line}`);
    }
    const blobs = join(directory, 'content', 'blobs', 'sha256');
    const names = new Set(await readdir(blobs));
    for (const hex of names) {
      const data = await readFile(join(blobs, hex));
      assert.equal(createHash('sha256').update(data).digest('hex'), hex, 'I2: a blob is whole');
    }
    for (const row of db.prepare('SELECT digest FROM blobs UNION SELECT digest FROM images').all()) {
      assert.ok(names.has(String(row.digest).slice(7)), `I3: ${row.digest} has bytes`);
    }
  } finally {
    db.close();
  }
}

test('what was acknowledged survives kill -9 at any moment, and nothing points at bytes that are not there', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'berth-kill-'));
  t.after(() => rm(directory, { recursive: true }));
  const acknowledged: string[] = [];
  for (let round = 0; round < rounds; round++) {
    acknowledged.push(...(await runAndKill(directory)));
    await check(directory, acknowledged);
  }
  t.diagnostic(`${acknowledged.length} acknowledged mutations over ${rounds} kills`);
  assert.ok(acknowledged.length > rounds);
});

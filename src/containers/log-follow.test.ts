import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LogEntry, LogTime } from './containers.ts';
import { readLog } from './log-follow.ts';
import { LogPaths } from './log-paths.ts';

const text = ({ data, partial }: LogEntry): string => Buffer.from(data).toString() + (partial ? '…' : '');
const line = (i: number, tag = 'F'): string =>
  `2026-11-22T13:24:39.${String(i).padStart(9, '0')}Z stdout ${tag} line ${i}\n`;

interface Bench extends Disposable {
  readonly path: string;
  alive: boolean;
  read(
    wanted?: { follow?: boolean; tail?: number; since?: LogTime },
    signal?: AbortSignal,
  ): Promise<string[]>;
}

function bench(content?: string): Bench {
  const root = mkdtempSync(join(tmpdir(), 'berth-log-'));
  const path = join(root, 'log');
  if (content !== undefined) writeFileSync(path, content);
  return {
    path,
    alive: false,
    async read(wanted = {}, signal = new AbortController().signal) {
      const source = { path, isAlive: async () => this.alive, signal };
      const entries: string[] = [];
      for await (const entry of readLog(source, { follow: false, tail: 0, ...wanted }))
        entries.push(text(entry));
      return entries;
    },
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}

test('a log is read whole, its tail, or nothing of the old', async () => {
  using log = bench(line(1) + line(2) + line(3));
  assert.deepEqual(await log.read(), ['line 1', 'line 2', 'line 3']);
  assert.deepEqual(await log.read({ tail: 2 }), ['line 2', 'line 3']);
  assert.deepEqual(await log.read({ tail: 9 }), ['line 1', 'line 2', 'line 3']);
  assert.deepEqual(await log.read({ tail: -1 }), []);
  assert.deepEqual(
    await log.read({ since: { seconds: BigInt(Date.parse('2026-11-22T13:24:39Z') / 1000), nanos: 3 } }),
    ['line 3'],
  );
});

test('the tail counts lines, not the parts of long ones', async () => {
  using log = bench(line(1) + line(2, 'P') + line(3, 'P') + line(4) + line(5));
  assert.deepEqual(await log.read({ tail: 2 }), ['line 2…', 'line 3…', 'line 4', 'line 5']);
  assert.deepEqual(await log.read({ tail: 1 }), ['line 5']);
});

test('the tail of a long log is found from its end', async () => {
  const lines = Array.from({ length: 20_000 }, (_, i) => line(i));
  using log = bench(lines.join(''));
  const tail = await log.read({ tail: 3_000 });
  assert.equal(tail.length, 3_000);
  assert.equal(tail[0], 'line 17000');
});

test('an absent or empty log has no lines, rubbish is left out', async () => {
  using none = bench();
  assert.deepEqual(await none.read(), []);
  using empty = bench('');
  assert.deepEqual(await empty.read({ tail: 5 }), []);
  using rubbish = bench(`rubbish\n${line(1)}half a li`);
  assert.deepEqual(await rubbish.read(), ['line 1']);
});

test('following sees what is written later and ends when the task is gone', async () => {
  using log = bench(line(1));
  log.alive = true;
  const read = log.read({ follow: true });
  setTimeout(() => appendFileSync(log.path, line(2).slice(0, 30)), 30);
  setTimeout(() => appendFileSync(log.path, line(2).slice(30) + line(3)), 60);
  setTimeout(() => {
    log.alive = false;
    appendFileSync(log.path, line(4));
  }, 90);
  assert.deepEqual(await read, ['line 1', 'line 2', 'line 3', 'line 4']);
});

test('following waits for a log that is not there yet', async () => {
  using log = bench();
  log.alive = true;
  const read = log.read({ follow: true, tail: -1 });
  setTimeout(() => {
    writeFileSync(log.path, '');
    setTimeout(() => {
      appendFileSync(log.path, line(1));
      log.alive = false;
    }, 50);
  }, 30);
  assert.deepEqual(await read, ['line 1']);
});

test('a caller that is gone ends the following', async () => {
  using log = bench(line(1));
  const gone = new AbortController();
  const source = { path: log.path, isAlive: async () => true, signal: gone.signal };
  const seen: string[] = [];
  for await (const entry of readLog(source, { follow: true, tail: 0 })) {
    seen.push(text(entry));
    gone.abort();
  }
  assert.deepEqual(seen, ['line 1']);
});

test('CVE-2025-0750: a log that is a link or no file is refused, and ids are no paths', async () => {
  using linked = bench();
  symlinkSync('/etc/passwd', linked.path);
  await assert.rejects(linked.read(), { kind: 'failed_precondition' });
  using directory = bench();
  mkdirSync(directory.path);
  await assert.rejects(directory.read(), { kind: 'failed_precondition' });
  const paths = new LogPaths('/nowhere');
  for (const id of ['..', 'a/b', '', 'a\0', 'a'.repeat(77)])
    assert.throws(() => paths.path('ns', id), { kind: 'invalid_argument' });
});

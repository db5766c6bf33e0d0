import assert from 'node:assert/strict';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { makeFifo, unreadBytes } from '../sys/fifo.ts';
import { makePipe, setPipeSize, splice } from '../sys/splice.ts';
import { LogPump } from './log-pump.ts';
import type { LogRequest } from './log-request.ts';
import { LogState, type StreamProgress } from './log-state.ts';

let dir = '';
let request: LogRequest;
/** Open for reading and writing, as a container has them. */
let [fifo, spent] = [-1, -1];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-log-'));
  const at = (name: string) => join(dir, name);
  for (const name of ['fifo', 'spent']) makeFifo(at(name));
  [fifo, spent] = [openSync(at('fifo'), constants.O_RDWR), openSync(at('spent'), constants.O_RDWR)];
  setPipeSize(fifo, 1024 * 1024);
  const streams = [{ name: 'stdout', fifo: at('fifo'), spent: at('spent') }] as const;
  request = {
    key: 'k',
    path: at('log'),
    format: 'cri',
    maxBytes: 0,
    maxFiles: 1,
    state: at('state'),
    streams,
  };
});
afterEach(() => {
  closeSync(spent);
  rmSync(dir, { recursive: true });
});

/** Pumps until whoever wrote has left. @returns the lines: text, and whether it was whole (F) or not (P) */
async function pumped(): Promise<string[]> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _pump = new LogPump(request, resolve);
  closeSync(fifo);
  await promise;
  return linesOf();
}

const linesOf = (): string[] =>
  readFileSync(request.path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split(' ').slice(2).join(' '));

/** What a worker left that was killed after it had written these lines, `uncounted` of them after its last record. */
function killedAfter(lines: readonly string[], uncounted: readonly string[], stdout: StreamProgress): void {
  const text = (of: readonly string[]) =>
    of.map((line) => `2026-01-01T00:00:00.000000000Z stdout ${line}\n`).join('');
  writeFileSync(request.path, text(lines) + text(uncounted));
  const { ino } = statSync(request.path, { bigint: true });
  using state = new LogState(request.state);
  state.write({ ino, size: text(lines).length, streams: [stdout] });
}

describe('a log', () => {
  it('gets every line once, the last one without a newline, too, and nothing stays in either FIFO', async () => {
    writeSync(fifo, 'one\ntwo\nthree');
    assert.deepEqual(await pumped(), ['F one', 'F two', 'F three']);
    assert.equal(unreadBytes(spent), 0);
  });

  for (const left of [0, 5, 11])
    it(`goes on where a worker was killed while bytes left the FIFO: ${left} of 11 had`, async () => {
      killedAfter(['F one', 'F two'], [], { rest: Buffer.from('thr'), leaving: 11 });
      const bytes = 'one\ntwo\nthr';
      writeSync(spent, bytes.slice(0, left));
      writeSync(fifo, `${bytes.slice(left)}ee\nfour\n`);
      assert.deepEqual(await pumped(), ['F one', 'F two', 'F three', 'F four']);
      assert.equal(unreadBytes(spent), 0);
    });

  it('takes back what was written after the last record, and writes it again', async () => {
    killedAfter(['F one'], ['F two', 'F thr'], { rest: Buffer.from('t'), leaving: 0 });
    writeSync(spent, 'one\nt');
    writeSync(fifo, 'wo\nthree\n');
    assert.deepEqual(await pumped(), ['F one', 'F two', 'F three']);
    assert.equal(unreadBytes(spent), 0);
  });

  it('has a rest outlive several workers, each of which adds to it', async () => {
    const text = 'x'.repeat(9000);
    for (let round = 0; round < 3; round++) {
      const pump = new LogPump(request, () => {});
      writeSync(fifo, text);
      while (unreadBytes(fifo) > 0) await new Promise((resolve) => setTimeout(resolve, 1));
      // Killed: disposed of, it would write the rest as a line.
      const state = readFileSync(request.state);
      const size = readFileSync(request.path).length;
      pump[Symbol.dispose]();
      writeFileSync(request.state, state);
      writeFileSync(request.path, readFileSync(request.path).subarray(0, size));
    }
    writeSync(fifo, '\n');
    assert.deepEqual(await pumped(), [`P ${'x'.repeat(16_384)}`, `F ${'x'.repeat(27_000 - 16_384)}`]);
  });

  it('takes a FIFO full of single bytes, which need more room than their number tells', async () => {
    const { read, write } = makePipe();
    for (let i = 0; i < 200; i++) {
      writeSync(write.fd, i % 2 === 0 ? 'a' : '\n');
      assert.equal(splice(read, fifo, 1), 1);
    }
    assert.deepEqual(await pumped(), Array(100).fill('F a'));
    assert.equal(unreadBytes(spent), 0);
    for (const end of [read, write]) end.close();
  });
});

describe('the state of a log', () => {
  it('names the rest that goes with it: one that is being written beside it changes nothing', () => {
    using state = new LogState(request.state);
    const record = { ino: 7n, size: 1234 };
    const [first, second] = [Buffer.from('first'), Buffer.from('other, longer')];
    state.write({
      ...record,
      streams: [
        { rest: first, leaving: 3 },
        { rest: second, leaving: 0 },
      ],
    });
    const before = readFileSync(request.state).subarray(0, 48);
    state.write({
      ...record,
      streams: [
        { rest: second, leaving: 9 },
        { rest: second, leaving: 0 },
      ],
    });
    const now = new LogState(request.state).read();
    assert.deepEqual(now?.streams, [
      { rest: second, leaving: 9 },
      { rest: second, leaving: 0 },
    ]);
    const torn = readFileSync(request.state);
    before.copy(torn);
    writeFileSync(request.state, torn);
    const earlier = new LogState(request.state).read();
    assert.deepEqual(earlier, {
      ...record,
      streams: [
        { rest: first, leaving: 3 },
        { rest: second, leaving: 0 },
      ],
    });
  });

  it('is none before the first record', () => {
    assert.equal(new LogState(request.state).read(), undefined);
  });
});

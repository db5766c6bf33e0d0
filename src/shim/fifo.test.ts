import assert from 'node:assert/strict';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFifo } from '../sys/fifo.ts';
import { FifoOutput } from './fifo.ts';
import type { StdioPlace } from './stdio.ts';

const { O_NONBLOCK, O_RDONLY } = constants;

function output(): { made: () => FifoOutput; path: string } & Disposable {
  const dir = mkdtempSync(join(tmpdir(), 'berth-fifo-'));
  const path = join(dir, 'stdout');
  makeFifo(path);
  const place = { found: new Map(), changed() {} } as unknown as StdioPlace;
  return {
    path,
    made: () => new FifoOutput('stdout', path, place),
    [Symbol.dispose]: () => rmSync(dir, { recursive: true }),
  };
}

/** Whether it has settled by the time that everything already under way has run. */
async function isSettled(promise: Promise<void>): Promise<boolean> {
  const later = new Promise((resolve) => setImmediate(resolve, 'later'));
  return (await Promise.race([promise.then(() => 'settled'), later])) === 'settled';
}

test('I6: the exit waits for a client that has not opened its FIFO yet, and it reads everything', async () => {
  using fifo = output();
  const stdout = fifo.made();
  writeSync(stdout.containerFd, 'hello');
  stdout.ended();
  assert.equal(await isSettled(stdout.drained), false);
  const reader = openSync(fifo.path, O_RDONLY | O_NONBLOCK);
  const busy = setInterval(() => {}, 1_000);
  await stdout.drained;
  clearInterval(busy);
  assert.equal(readFileSync(reader, 'utf8'), 'hello');
  closeSync(reader);
});

test('the exit does not wait for a client that has left', async () => {
  using fifo = output();
  const reader = openSync(fifo.path, O_RDONLY | O_NONBLOCK);
  const stdout = fifo.made();
  closeSync(reader);
  writeSync(stdout.containerFd, 'hello');
  stdout.ended();
  assert.equal(await isSettled(stdout.drained), true);
  stdout.close();
});

test('the exit does not wait where nothing was written', async () => {
  using fifo = output();
  const stdout = fifo.made();
  stdout.ended();
  assert.equal(await isSettled(stdout.drained), true);
  stdout.close();
});

test('a deleted process waits for nobody', async () => {
  using fifo = output();
  const stdout = fifo.made();
  writeSync(stdout.containerFd, 'hello');
  stdout.ended();
  stdout.close();
  await stdout.drained;
});

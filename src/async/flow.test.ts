import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isKind } from '../errors/error.ts';
import { cleanUp, cleanupStep } from './cleanup.ts';
import { silentLog } from './context.ts';
import { linkSignals, withDeadline } from './deadline.ts';
import { BoundedQueue } from './queue.ts';
import { SingleFlight } from './single-flight.ts';

const never = new AbortController().signal;
const tick = () => new Promise((resolve) => setImmediate(resolve));
const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

test('callers of the same key share one run, and a later caller starts anew', async () => {
  const flights = new SingleFlight<number>();
  let runs = 0;
  const work = async () => {
    await tick();
    return ++runs;
  };
  const both = await Promise.all([flights.run('a', never, work), flights.run('a', never, work)]);
  assert.deepEqual(both, [1, 1]);
  assert.equal(flights.size, 0);
  assert.equal(await flights.run('a', never, work), 2);
});

test('a failed run fails all its callers and is forgotten', async () => {
  const flights = new SingleFlight<number>();
  const fail = () => Promise.reject(new Error('broken'));
  const results = await Promise.allSettled([flights.run('a', never, fail), flights.run('a', never, fail)]);
  assert.deepEqual(
    results.map((r) => r.status),
    ['rejected', 'rejected'],
  );
  assert.equal(await flights.run('a', never, async () => 1), 1);
});

test('a caller that leaves lets the others finish; the last one to leave stops the work', async () => {
  const flights = new SingleFlight<number>();
  const [first, second] = [new AbortController(), new AbortController()];
  let stopped = false;
  const { promise: done, resolve } = Promise.withResolvers<number>();
  const work = (signal: AbortSignal) => {
    signal.addEventListener('abort', () => {
      stopped = true;
    });
    return done;
  };
  const a = flights.run('a', first.signal, work);
  const b = flights.run('a', second.signal, work);
  first.abort(new Error('left'));
  await assert.rejects(a, /left/);
  assert.equal(stopped, false);
  second.abort(new Error('left too'));
  await assert.rejects(b, /left too/);
  assert.equal(stopped, true);
  assert.equal(await flights.run('a', never, async () => 7), 7);
  resolve(1);
});

test('work that is out of time is unavailable, even if it does not listen', async () => {
  let told: unknown;
  const deaf = (signal: AbortSignal) => {
    signal.addEventListener('abort', () => {
      told = signal.reason;
    });
    return new Promise<void>(() => {});
  };
  await assert.rejects(
    withDeadline(never, 10, 'pulling x', deaf),
    /^BerthError: pulling x took longer than 10 ms$/,
  );
  assert.ok(isKind(told, 'unavailable'));
  assert.equal(await withDeadline(never, 1000, 'x', async () => 5), 5);
});

test('a caller that gives up is told its own reason, not the deadline', async () => {
  const caller = new AbortController();
  const run = withDeadline(caller.signal, 1000, 'x', untilAborted);
  caller.abort(new Error('enough'));
  await assert.rejects(run, /enough/);
});

test('a linked signal fires with its sources until it is disposed', () => {
  const [a, b] = [new AbortController(), new AbortController()];
  const linked = linkSignals(a.signal, b.signal);
  const released = linkSignals(b.signal);
  released[Symbol.dispose]();
  b.abort('b');
  assert.deepEqual([linked.signal.reason, released.signal.aborted], ['b', false]);
  assert.equal(linkSignals(b.signal).signal.aborted, true);
});

test('a failing or slow cleanup is logged and hides no error', async () => {
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (_: object, message: string) => void warnings.push(message) };
  const failing = async () => {
    await using undo = new AsyncDisposableStack();
    undo.use(cleanupStep('remove it', log, () => Promise.reject(new Error('busy'))));
    throw new Error('the first error');
  };
  await assert.rejects(failing(), /^Error: the first error$/);
  await cleanUp('wait', log, untilAborted, 10);
  assert.deepEqual(warnings, ['could not remove it', 'could not wait']);
});

test('a bounded queue keeps order and makes the writer wait', async () => {
  const queue = new BoundedQueue<number>(2);
  let written = 0;
  const writer = (async () => {
    for (let i = 0; i < 20; i++, written++) await queue.push(i, never);
    queue.close();
  })();
  await tick();
  assert.deepEqual([written, queue.length, queue.tryPush(99)], [2, 2, false]);
  const read: number[] = [];
  for await (const item of queue) {
    read.push(item);
    assert.ok(written - read.length <= 3);
  }
  await writer;
  assert.deepEqual(
    read,
    Array.from({ length: 20 }, (_, i) => i),
  );
});

test('a queue closed with an error gives what it holds, then the error', async () => {
  const queue = new BoundedQueue<number>(5);
  queue.tryPush(1);
  queue.close(new Error('upstream'));
  const read: number[] = [];
  await assert.rejects(async () => {
    for await (const item of queue) read.push(item);
  }, /upstream/);
  assert.deepEqual(read, [1]);
});

test('writers end when the reader leaves or their signal fires', async () => {
  const queue = new BoundedQueue<number>(1);
  queue.tryPush(1);
  const impatient = new AbortController();
  const pushes = [queue.push(2, impatient.signal), queue.push(3, never)];
  impatient.abort(new Error('late'));
  await assert.rejects(pushes[0] ?? Promise.resolve(), /late/);
  for await (const item of queue) {
    assert.equal(item, 1);
    await sleep(1);
    break;
  }
  await pushes[1];
  await assert.rejects(queue.push(4, never), (e) => isKind(e, 'aborted'));
  assert.equal(queue.tryPush(5), false);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../errors/error.ts';
import { WorkerPool } from './worker-pool.ts';

/** A worker from text: `answer(job, cancel)` says what comes back. */
const script = (answer: string): URL =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`
      import { parentPort, threadId } from 'node:worker_threads';
      let running = 0;
      parentPort.on('message', async ({ job, cancel }) => {
        const flag = new Int32Array(cancel);
        const done = (outcome) => parentPort.postMessage({ outcome });
        ${answer}
      });`)}`,
  );

const pool = (answer: string, size = 2, idleMs = 50) =>
  new WorkerPool<number, number>({ script: script(answer), size, idleMs });

test('runs jobs, no more at a time than its size, and uses workers again', async () => {
  const p = pool('setTimeout(() => done(threadId), 30);');
  const threads = await Promise.all([1, 2, 3, 4, 5].map((n) => p.run(n)));
  assert.equal(new Set(threads).size, 2);
});

test('a worker that is idle ends, and a new one is started when needed', async () => {
  const p = pool('done(threadId);', 1, 20);
  const first = await p.run(1);
  assert.equal(await p.run(1), first);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.notEqual(await p.run(1), first);
});

test('an error keeps its kind; a crash fails its own job only', async () => {
  const p = pool(
    `if (job === 1) parentPort.postMessage({ error: { kind: 'data_loss', message: 'bad' } });
     else if (job === 2) process.exit(3);
     else if (job === 3) throw new Error('oops');
     else done(job);`,
    1,
  );
  await assert.rejects(p.run(1), (error) => isKind(error, 'data_loss'));
  await assert.rejects(p.run(2), (error) => isKind(error, 'internal'));
  await assert.rejects(p.run(3), (error) => isKind(error, 'internal'));
  assert.equal(await p.run(4), 4);
});

test('a cancelled job is told, and ended when it does not listen', async () => {
  const listening = pool(
    `const timer = setInterval(() => { if (Atomics.load(flag, 0)) { clearInterval(timer); parentPort.postMessage({ error: { kind: 'aborted', message: 'stopped' } }); } }, 5);`,
  );
  await assert.rejects(listening.run(1, { signal: AbortSignal.timeout(50) }), (error) =>
    isKind(error, 'aborted'),
  );
  const deaf = pool('for (;;);', 1);
  const start = performance.now();
  await assert.rejects(deaf.run(1, { signal: AbortSignal.timeout(50) }), (error) => isKind(error, 'aborted'));
  assert.ok(performance.now() - start < 2000);
});

test('a job that waits for its turn can be cancelled, and the turn goes on', async () => {
  const p = pool('setTimeout(() => done(job), 100);', 1);
  const first = p.run(1);
  const waiting = p.run(2, { signal: AbortSignal.timeout(20) });
  await assert.rejects(waiting, (error) => isKind(error, 'aborted'));
  assert.equal(await first, 1);
  assert.equal(await p.run(3), 3);
});

test('a job that waits for others takes nobody’s turn', async () => {
  const p = pool('if (job === 2) done(job);', 1);
  const stop = new AbortController();
  const waiting = p.run(1, { waits: true, signal: stop.signal });
  assert.equal(await p.run(2), 2);
  stop.abort();
  await assert.rejects(waiting, (error) => isKind(error, 'aborted'));
});

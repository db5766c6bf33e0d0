import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { isKind } from '../../src/errors/error.ts';
import { Harness } from './harness.ts';

const h = new Harness();
const ctx = h.ctx();
after(() => h[Symbol.asyncDispose]());

/** A task whose specification is the usual one, changed. */
async function start(id: string, script: string, change: (spec: { linux: object }) => void): Promise<void> {
  const task = h.task(id, ['sh', '-c', script]);
  const spec = JSON.parse(Buffer.from(task.spec).toString());
  change(spec);
  await h.tasks.create(ctx, { ...task, spec: Buffer.from(JSON.stringify(spec)) });
  await h.tasks.start(ctx, id);
}

test('a process killed for want of memory is told before the exit that it led to', async () => {
  await start('oom', 'head -c 200000000 /dev/zero | tail; exit 9', (spec) => {
    Object.assign(spec.linux, { resources: { memory: { limit: 32 << 20, swap: 32 << 20 } } });
  });
  // Whom the kernel takes is the kernel's choice: the pipe's end, or the shell itself.
  assert.ok([9, 137].includes((await h.tasks.wait(ctx, 'oom')).exitStatus));
  await h.tasks.delete(ctx, 'oom');
  assert.deepEqual(await h.topicsWhen('oom', 5), [
    '/tasks/create',
    '/tasks/start',
    '/tasks/oom',
    '/tasks/exit',
    '/tasks/delete',
  ]);
});

test('what is done to end a task is shown, with what came of it', async () => {
  await start('stubborn', 'trap "" TERM; while :; do sleep 1; done', () => {});
  await h.tasks.kill(ctx, 'stubborn', 15);
  assert.equal((await h.tasks.get(ctx, 'stubborn')).status, 'running');
  await h.tasks.kill(ctx, 'stubborn', 9);
  assert.equal((await h.tasks.wait(ctx, 'stubborn')).exitStatus, 137);
  await assert.rejects(h.tasks.kill(ctx, 'stubborn', 15), (e) => isKind(e, 'not_found'));
  const steps = await h.tasks.endSteps(ctx, 'stubborn');
  assert.deepEqual(
    steps.map(({ step, error }) => [step, error]),
    [
      ['signal 15', ''],
      ['signal 9', ''],
    ],
  );
  await h.tasks.delete(ctx, 'stubborn');
});

test('a paused task is killed all the same', async () => {
  await start('frozen', 'sleep 1000', () => {});
  await h.tasks.pause(ctx, 'frozen');
  await h.tasks.kill(ctx, 'frozen', 9);
  assert.equal((await h.tasks.wait(ctx, 'frozen')).exitStatus, 137);
  await h.tasks.delete(ctx, 'frozen');
});

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isKind } from '../../src/errors/error.ts';
import { until } from '../kit/until.ts';
import { Harness, mountsIn } from './harness.ts';

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
  // Whom the kernel takes is the kernel's choice: the pipe's end, or the shell itself, or one after the other.
  const { exitStatus } = await h.tasks.wait(ctx, 'oom');
  assert.ok([9, 137].includes(exitStatus), `exit status ${exitStatus}`);
  await h.tasks.delete(ctx, 'oom');
  await until(
    () => h.topics('oom').includes('/tasks/delete'),
    () => `the end: ${h.topics('oom').join(' ')}`,
  );
  const told = h.topics('oom').filter((topic, i, all) => topic !== '/tasks/oom' || topic !== all[i - 1]);
  assert.deepEqual(told, ['/tasks/create', '/tasks/start', '/tasks/oom', '/tasks/exit', '/tasks/delete']);
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

const freezer = '/sys/fs/cgroup/freezer';
const noFreezer = existsSync(freezer) ? false : 'version 2 alone kills what is frozen';

test('one that nothing ends is given up, its task deleted; the steps say why', {
  skip: noFreezer,
}, async () => {
  await start('stuck', 'sleep 1000', () => {});
  const { pid } = await h.tasks.get(ctx, 'stuck');
  const parent = join(freezer, h.cgroup, 'freezer.state');
  writeFileSync(parent, 'FROZEN');
  try {
    await until(() => readFileSync(parent, 'utf8').trim() === 'FROZEN', 'the cgroup above to be frozen');
    await h.tasks.kill(ctx, 'stuck', 9);
    assert.equal((await h.tasks.wait(ctx, 'stuck')).exitStatus, 255);
    const steps = await h.tasks.endSteps(ctx, 'stuck');
    assert.deepEqual(
      steps.map(({ step, error }) => [step.replace(/\d{2,}/, 'N').replace(/ in state .*/, ''), error]),
      [
        ['signal 9', ''],
        ['every process of the cgroup killed', ''],
        ['cgroup frozen, killed and thawed', ''],
        ['process N is still there,', ''],
        ['given up: root detached, task told as ended', ''],
      ],
    );
    assert.deepEqual(mountsIn(h.dir), []);
    await h.tasks.delete(ctx, 'stuck');
    assert.equal(await h.tasks.find(ctx, 'stuck'), undefined);
    assert.ok(existsSync(`/proc/${pid}`));
  } finally {
    writeFileSync(parent, 'THAWED');
  }
  await until(() => !existsSync(`/proc/${pid}`), 'it to end once it can');
  assert.equal(h.topics('stuck').filter((topic) => topic === '/tasks/exit').length, 1);
  assert.deepEqual(
    (await h.tasks.reconcile()).filter(({ kind }) => kind !== 'cgroup'),
    [],
  );
});

test('a paused task is killed all the same', async () => {
  await start('frozen', 'sleep 1000', () => {});
  await h.tasks.pause(ctx, 'frozen');
  await h.tasks.kill(ctx, 'frozen', 9);
  assert.equal((await h.tasks.wait(ctx, 'frozen')).exitStatus, 137);
  await h.tasks.delete(ctx, 'frozen');
});

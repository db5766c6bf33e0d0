import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLog } from '../../src/async/context.ts';
import { Tasks } from '../../src/runtime/tasks.ts';
import { processesOf } from '../kit/daemon.ts';
import { until } from '../kit/until.ts';
import { Harness } from './harness.ts';

test('a daemon that finds a shim of another version puts its own in its place; tasks do not notice', async () => {
  await using h = new Harness();
  const ctx = h.ctx();
  const stdout = h.fifo('out');
  await h.tasks.create(ctx, h.task('stays', ['sh', '-c', 'sleep 2; exit 5'], { stdout }));
  await h.tasks.start(ctx, 'stays');
  const [before, { pid }] = [await h.shimPid(), await h.tasks.get(ctx, 'stays')];
  await h.tasks.close();
  h.tasks = new Tasks({ stateDir: h.state, events: h.exchange, log: silentLog, shimVersion: 'another' });
  assert.equal((await h.tasks.get(ctx, 'stays')).pid, pid);
  assert.notEqual(await h.shimPid(), before);
  assert.equal((await h.tasks.wait(ctx, 'stays')).exitStatus, 5);
  await h.tasks.delete(ctx, 'stays');
  assert.deepEqual(await h.topicsWhen('stays', 4), [
    '/tasks/create',
    '/tasks/start',
    '/tasks/exit',
    '/tasks/delete',
  ]);
});

test('SIGTERM ends a shim without tasks, and what it started; with one it stays', async () => {
  await using h = new Harness();
  const ctx = h.ctx();
  await h.tasks.create(ctx, h.task('one', ['sleep', '1000']));
  const pid = await h.shimPid();
  await h.tasks.close();
  process.kill(pid, 'SIGTERM');
  h.tasks = h.open();
  await h.tasks.delete(ctx, 'one');
  assert.equal(await h.shimPid(), pid);
  await h.tasks.close();
  process.kill(pid, 'SIGTERM');
  await until(() => !existsSync(`/proc/${pid}`), 'the shim to end');
  await until(() => processesOf(h.state).length === 0, 'everything to end');
  assert.equal(existsSync(join(h.state, 's/holder')), false);
});

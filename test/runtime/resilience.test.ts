import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLog } from '../../src/async/context.ts';
import { EventExchange } from '../../src/events/exchange.ts';
import { shimSocketPath } from '../../src/runtime/shim-launch.ts';
import { Tasks } from '../../src/runtime/tasks.ts';
import { canReadExits } from '../../src/sys/pidfd.ts';
import { until } from '../kit/until.ts';
import { Harness } from './harness.ts';

const h = new Harness();
const ctx = h.ctx();
after(() => h[Symbol.asyncDispose]());

test('two daemons that start at once get one shim', async () => {
  await using other = new Tasks({ stateDir: h.state, events: new EventExchange(), log: silentLog });
  await Promise.all([h.tasks.features(ctx), other.features(ctx)]);
  const pid = await h.shimPid();
  const shims = readFileSync(join(h.state, 's/shim.log'), 'utf8').match(/shim serves/g) ?? [];
  assert.equal(shims.length, 1);
  assert.match(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), /shim/);
});

test('no shim runs before there is a task to care for; what an earlier daemon left starts it at once', async () => {
  await using own = new Harness();
  assert.deepEqual(await own.tasks.list(ctx), []);
  assert.equal(await own.tasks.find(ctx, 'nobody'), undefined);
  const said = { message: 'task nobody not found' };
  await assert.rejects(own.tasks.kill(ctx, 'nobody', 9), said);
  await assert.rejects(own.tasks.wait(ctx, 'nobody'), said);
  await assert.rejects(own.tasks.delete(ctx, 'nobody'), said);
  await assert.rejects(own.tasks.endSteps(ctx, 'nobody'), said);
  assert.equal(existsSync(join(own.state, 's')), false, 'none was started for those');
  mkdirSync(join(own.state, 'io.containerd.runtime.v2.task/test/left'), { recursive: true });
  await h.restart();
  await until(() => existsSync(shimSocketPath(h.state)), 'the shim is there');
});

test('the shim has a session of its own and none of the daemon’s environment (CVE-2026-57231)', async () => {
  const pid = await h.shimPid();
  const session = Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[3]);
  assert.equal(session, pid);
  const names = readFileSync(`/proc/${pid}/environ`, 'utf8')
    .split('\0')
    .map((pair) => pair.split('=')[0])
    .filter(Boolean);
  assert.deepEqual(
    names.filter((name) => name !== 'PATH' && name !== 'NODE_COMPILE_CACHE'),
    [],
  );
});

test('a daemon killed with -9 takes nothing along; the next one knows every task and publishes what was missed, once', async () => {
  await h.tasks.create(ctx, h.task('stays', ['sleep', '1000']));
  await h.tasks.start(ctx, 'stays');
  await h.tasks.create(
    ctx,
    h.task('ends', ['sh', '-c', 'while [ ! -e /tmp/go ]; do sleep 0.02; done; exit 6']),
  );
  await h.tasks.start(ctx, 'ends');
  await h.topicsWhen('ends', 2);
  await h.tasks.close();
  const daemon = spawn(process.execPath, [join(import.meta.dirname, 'daemon-worker.ts'), h.state, 'ends'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(daemon.stdout, 'data')) as [Buffer];
  assert.match(line.toString(), /^\d+ running/);
  daemon.kill('SIGKILL');
  await once(daemon, 'exit');
  writeFileSync(join(h.rootfs, 'tmp/go'), '');
  await sleep(300);
  h.tasks = h.open();
  assert.equal((await h.tasks.get(ctx, 'stays')).status, 'running');
  assert.equal((await h.tasks.wait(ctx, 'ends')).exitStatus, 6);
  await h.topicsWhen('ends', 3);
  await h.restart();
  await h.tasks.list(ctx);
  await h.tasks.delete(ctx, 'ends');
  assert.deepEqual(await h.topicsWhen('ends', 4), [
    '/tasks/create',
    '/tasks/start',
    '/tasks/exit',
    '/tasks/delete',
  ]);
});

test('a shim killed with -9 is replaced: tasks run on, keep their exit codes, logs and FIFOs', async () => {
  const log = join(h.dir, 'adopted-log');
  const stdout = h.fifo('adopted-out');
  const script = 'i=0; while [ ! -e /tmp/stop ]; do echo $i; i=$((i+1)); sleep 0.02; done; echo last; exit 8';
  await h.tasks.create(ctx, h.task('logged', ['sh', '-c', script], { stdout: `cri://${log}` }));
  await h.tasks.start(ctx, 'logged');
  await h.tasks.create(ctx, h.task('piped', ['sh', '-c', script], { stdout }));
  await h.tasks.start(ctx, 'piped');
  const pid = await h.shimPid();
  const before = await h.tasks.get(ctx, 'logged');
  process.kill(pid, 'SIGKILL');
  await until(async () => (await h.shimPid().catch(() => pid)) !== pid, 'a new shim');
  const now = await h.tasks.get(ctx, 'logged');
  assert.deepEqual([now.pid, now.status], [before.pid, 'running']);
  const reading = (async () => {
    let text = '';
    for await (const chunk of createReadStream(stdout)) text += chunk;
    return text;
  })();
  writeFileSync(join(h.rootfs, 'tmp/stop'), '');
  assert.equal((await h.tasks.wait(ctx, 'logged')).exitStatus, 8);
  assert.equal((await h.tasks.wait(ctx, 'piped')).exitStatus, 8);
  const numbers = (await reading).trim().split('\n');
  assert.equal(numbers.pop(), 'last');
  assert.deepEqual(
    numbers,
    numbers.map((_, i) => String(i)),
  );
  const lines = readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' ').at(-1));
  assert.equal(lines.pop(), 'last');
  assert.deepEqual(
    lines,
    lines.map((_, i) => String(i)),
  );
  for (const id of ['logged', 'piped']) await h.tasks.delete(ctx, id);
  assert.equal((await h.tasks.get(ctx, 'stays')).status, 'running');
});

test('what ended while no shim was there has its exit code where the kernel can tell (6.15), else an unknown one (255)', async () => {
  const pid = await h.shimPid();
  const { pid: task } = await h.tasks.get(ctx, 'stays');
  await h.tasks.close();
  process.kill(pid, 'SIGKILL');
  process.kill(task, 'SIGKILL');
  await until(() => !existsSync(`/proc/${task}`), 'the task to end');
  h.tasks = h.open();
  assert.equal((await h.tasks.wait(ctx, 'stays')).exitStatus, canReadExits(release()) ? 137 : 255);
  await h.tasks.delete(ctx, 'stays');
});

test('a console socket that a killed shim left is removed by the next one', async () => {
  const left = join(h.state, 's/c-0123456789ab');
  writeFileSync(left, '');
  const pid = await h.shimPid();
  process.kill(pid, 'SIGKILL');
  await until(async () => (await h.shimPid().catch(() => pid)) !== pid, 'a new shim');
  assert.equal(existsSync(left), false);
});

test('a shim killed in the middle of a create leaves an id that can be used again', async () => {
  const slow = h.task('half', ['true']);
  const spec = JSON.parse(Buffer.from(slow.spec).toString());
  spec.hooks = { createRuntime: [{ path: '/bin/sleep', args: ['sleep', '1'] }] };
  const creating = h.tasks.create(ctx, { ...slow, spec: Buffer.from(JSON.stringify(spec)) });
  await until(
    () => existsSync(join(h.state, 'io.containerd.runtime.v2.task/test/half/shim.json')),
    'the record',
  );
  process.kill(await h.shimPid(), 'SIGKILL');
  await assert.rejects(creating, /closed/);
  await until(async () => {
    try {
      await h.tasks.create(ctx, h.task('half', ['true']));
      return true;
    } catch {
      await sleep(100);
      return false;
    }
  }, 'the id to be free');
  await h.tasks.start(ctx, 'half');
  assert.equal((await h.tasks.wait(ctx, 'half')).exitStatus, 0);
  await h.tasks.delete(ctx, 'half');
});

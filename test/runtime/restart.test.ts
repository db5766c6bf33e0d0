import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { restartLabels as names } from '../../src/oci/label-names.ts';
import { Stage } from '../cli/stage.ts';
import { killProcessesOf, mountsBelow } from '../kit/daemon.ts';
import { ctr2 } from '../kit/paths.ts';
import { output, run } from '../kit/run.ts';
import { patienceMs } from '../kit/until.ts';

const config = '[plugins."io.containerd.monitor.container.v1.restart"]\ninterval = "300ms"\n';
let stage: Stage;
before(async () => {
  stage = await Stage.open({ config });
  await stage.ok('pull', '-q', stage.image);
});
afterEach(async () => {
  for (const id of (await stage.ok('ps', '-aq')).split('\n').filter((line) => line !== ''))
    await stage.ok('rm', '-f', id);
});
after(() => stage[Symbol.asyncDispose]());

interface Detail {
  readonly Labels: Record<string, string>;
  readonly State: { readonly Status: string; readonly Pid: number; readonly ExitCode: number };
}
const detail = async (name: string): Promise<Detail> => JSON.parse(await stage.ok('inspect', name))[0];
const countOf = ({ Labels }: Detail): number => Number(Labels[names.count] ?? '0');
const runs = ({ State }: Detail): boolean => State.Status === 'running';

/** Asks until it is so. */
async function until(name: string, so: (now: Detail) => boolean, what: string): Promise<Detail> {
  for (const endMs = Date.now() + patienceMs; Date.now() < endMs; await sleep(50)) {
    const now = await detail(name);
    if (so(now)) return now;
  }
  assert.fail(`${what}: ${JSON.stringify(await detail(name))}\n${stage.daemon.log().slice(-3000)}`);
}
/** Long enough for several looks at all containers. */
const severalLooks = () => sleep(1_500);

const start = (name: string, policy: string, script: string) =>
  stage.ok('run', '-d', '--restart', policy, '--name', name, stage.image, 'sh', '-c', script);
const killIt = (name: string) => stage.ok('kill', '-s', 'KILL', name);
const ctr = (...args: string[]) => output(ctr2, ['-a', stage.daemon.address, ...args]);

test('a container with policy always starts again when it dies, its output in the same log', async () => {
  await start('web', 'always', 'echo started; exec sleep 1000');
  const first = await until('web', runs, 'running');
  assert.equal(countOf(first), 0);
  await killIt('web');
  const second = await until('web', (now) => runs(now) && now.State.Pid !== first.State.Pid, 'restarted');
  assert.equal(countOf(second), 1);
  while ((await stage.ok('logs', 'web')) !== 'started\nstarted') await sleep(20);
});

test('update --restart: one that runs is kept running from then on, one that is stopped stays so until it is started', async () => {
  for (const name of ['web', 'idle'])
    await stage.ok('run', '-d', '--name', name, stage.image, 'sleep', '1000');
  await stage.ok('stop', '-t', '0', 'idle');
  assert.equal(await stage.ok('update', '--restart', 'always', 'web', 'idle'), 'web\nidle');
  const first = await detail('web');
  await killIt('web');
  await until('web', (now) => runs(now) && now.State.Pid !== first.State.Pid, 'restarted');
  assert.equal((await detail('idle')).State.Status, 'exited');
  await stage.ok('start', 'idle');
  const started = await until('idle', runs, 'running');
  await killIt('idle');
  await until('idle', (now) => runs(now) && now.State.Pid !== started.State.Pid, 'restarted');

  await stage.ok('update', '--restart', 'no', 'web');
  assert.deepEqual(
    Object.keys((await detail('web')).Labels).filter((label) => /restart\./.test(label)),
    [],
  );
  await killIt('web');
  await until('web', (now) => now.State.Status === 'exited', 'ended');
  await severalLooks();
  assert.equal((await detail('web')).State.Status, 'exited');
});

test('on-failure restarts what failed as often as it says, and nothing that went well', async () => {
  await start('bad', 'on-failure:2', 'echo try; exit 7');
  await start('good', 'on-failure:2', 'exit 0');
  const bad = await until('bad', (now) => countOf(now) === 2 && now.State.Status === 'exited', 'given up');
  assert.equal(bad.State.ExitCode, 7);
  await severalLooks();
  assert.equal(countOf(await detail('bad')), 2);
  assert.equal(countOf(await detail('good')), 0);
  assert.equal(await stage.ok('logs', 'bad'), 'try\ntry\ntry');
});

test('what somebody stopped stays so; with always until the daemon starts again', async () => {
  await start('always', 'always', 'exec sleep 1000');
  await start('unless', 'unless-stopped', 'exec sleep 1000');
  await stage.ok('stop', '-t', '0', 'always', 'unless');
  await severalLooks();
  assert.equal((await detail('always')).State.Status, 'exited');
  assert.equal((await detail('unless')).State.Status, 'exited');
  await stage.daemon.restart();
  await until('always', runs, 'back with the daemon');
  await severalLooks();
  assert.equal((await detail('unless')).State.Status, 'exited');
  await stage.ok('start', 'unless');
  const started = await until('unless', runs, 'started by hand');
  await killIt('unless');
  await until('unless', (now) => runs(now) && now.State.Pid !== started.State.Pid, 'kept again');
});

test('who dies while no daemon is there is restarted when it is back', async () => {
  await start('web', 'always', 'exec sleep 1000');
  const { State } = await until('web', runs, 'running');
  await stage.daemon.stop('SIGKILL');
  process.kill(State.Pid, 'SIGKILL');
  await stage.daemon.start();
  await until('web', (now) => runs(now) && now.State.Pid !== State.Pid, 'restarted');
});

test('after a reboot (state gone) always and unless-stopped come back, on-failure does not', async () => {
  await start('always', 'always', 'echo up; exec sleep 1000');
  await start('unless', 'unless-stopped', 'exec sleep 1000');
  await start('onfail', 'on-failure', 'exec sleep 1000');
  await stage.daemon.stop('SIGKILL');
  killProcessesOf(stage.daemon.dir);
  for (const point of mountsBelow(stage.daemon.dir)) await run('umount', ['-l', point]);
  rmSync(stage.daemon.state, { recursive: true });
  await stage.daemon.start();
  await until('always', runs, 'always is back');
  await until('unless', runs, 'unless-stopped is back');
  await severalLooks();
  assert.notEqual((await detail('onfail')).State.Status, 'running');
});

test('a container that ends again and again can be removed, and nothing of it comes back', async () => {
  await start('loop', 'always', 'exit 1');
  await until('loop', (now) => countOf(now) >= 2, 'restarted twice');
  await stage.ok('rm', '-f', 'loop');
  await severalLooks();
  assert.equal(await ctr('task', 'ls', '-q'), '');
  assert.equal(await ctr('c', 'ls', '-q'), '');
});

test('--restart refuses what it does not know, and what it does not go with', async () => {
  const refused = async (...flags: string[]) => (await stage.berth(['run', ...flags, stage.image])).stderr;
  assert.match(await refused('-d', '--restart', 'sometimes'), /restart policy "sometimes" not supported/);
  assert.match(await refused('-d', '--restart', 'on-failure:x'), /invalid max retry count: x/);
  assert.match(await refused('-d', '--rm', '--restart', 'always'), /--restart and --rm exclude each other/);
  assert.match(await refused('--restart', 'always'), /--restart needs -d/);
});

test("labels of containerd's clients mean what they mean there: status, policy, count, log URI", async () => {
  const log = `${stage.daemon.dir}/restarted.log`;
  const labels = { [names.status]: 'running', [names.policy]: 'always', [names.logUri]: `file://${log}` };
  const flags = Object.entries(labels).flatMap(([key, value]) => ['--label', `${key}=${value}`]);
  await ctr(
    'run',
    '-d',
    '--null-io',
    ...flags,
    stage.image,
    'plain',
    'sh',
    '-c',
    'echo again; exec sleep 1000',
  );
  const first = await until('plain', runs, 'running');
  // Without a back-off label an explicit stop does not hold `always`, just as in containerd.
  await ctr('c', 'label', 'plain', `${names.explicitlyStopped}=true`);
  await killIt('plain');
  const second = await until('plain', (now) => runs(now) && now.State.Pid !== first.State.Pid, 'restarted');
  assert.equal(second.Labels[names.count], '1');
  assert.equal((await output('cat', [log])).trim(), 'again');
  await ctr('c', 'label', 'plain', `${names.status}=stopped`);
  await until('plain', ({ State }) => !['running', 'exited'].includes(State.Status), 'ended and deleted');
  await severalLooks();
  assert.equal(await ctr('task', 'ls', '-q'), '');
});

test('a paused container is left alone, and one whose labels are nonsense too', async () => {
  await start('held', 'always', 'exec sleep 1000');
  await stage.ok('pause', 'held');
  const odd = [`${names.status}=running`, `${names.policy}=on-failure:2`, `${names.count}=many`];
  await ctr(
    'run',
    '-d',
    '--null-io',
    ...odd.flatMap((label) => ['--label', label]),
    stage.image,
    'odd',
    'false',
  );
  await until('odd', ({ State }) => State.Status === 'exited', 'ended');
  await severalLooks();
  assert.equal((await detail('held')).State.Status, 'paused');
  assert.equal((await detail('odd')).State.Status, 'exited');
  assert.match(stage.daemon.log(), /invalid restart count: many/);
});

test('the plug-in that clients ask for policies is there', async () => {
  const shown = await ctr('plugins', 'ls', '-d', 'id==restart');
  for (const word of ['io.containerd.monitor.container.v1', 'no', 'always', 'on-failure', 'unless-stopped'])
    assert.ok(shown.includes(word), `${word} in ${shown}`);
});

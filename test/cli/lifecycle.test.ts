import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { Stage } from './stage.ts';

let stage: Stage;
before(async () => {
  stage = await Stage.open();
  await stage.ok('pull', '-q', stage.image);
});
afterEach(async () => {
  for (const id of (await stage.ok('ps', '-aq')).split('\n').filter((line) => line !== ''))
    await stage.ok('rm', '-f', id);
});
after(() => stage[Symbol.asyncDispose]());

const start = (name: string, script = 'sleep 1000', ...flags: string[]) =>
  stage.ok('run', '-d', '--name', name, ...flags, stage.image, 'sh', '-c', script);
const detail = async (name: string) => JSON.parse(await stage.ok('inspect', name))[0];

test('pause freezes a container, unpause lets it go on, and both say when they cannot', async () => {
  await start('web');
  assert.equal(await stage.ok('pause', 'web'), 'web');
  assert.match(await stage.ok('ps'), /Paused|paused/i);
  assert.match((await stage.berth(['pause', 'web'])).stderr, /paused/);
  assert.match((await stage.berth(['exec', 'web', 'true'])).stderr, /paused/);
  assert.equal(await stage.ok('unpause', 'web'), 'web');
  assert.equal(await stage.ok('exec', 'web', 'echo', 'on'), 'on');
  assert.match((await stage.berth(['unpause', 'web'])).stderr, /running|not paused/);
});

test('wait prints the exit status, of one that runs and of one that has ended', async () => {
  await start('web', 'trap "exit 7" TERM; echo ready; sleep 1000 & wait');
  while ((await stage.ok('logs', 'web')) !== 'ready');
  const waiting = stage.ok('wait', 'web');
  await stage.ok('kill', '-s', 'TERM', 'web');
  assert.equal(await waiting, '7');
  assert.equal(await stage.ok('wait', 'web'), '7');
  assert.match((await stage.berth(['wait', 'nope'])).stderr, /no container is called "nope"/);
});

test('restart gives a running container a new process and starts a stopped one', async () => {
  await start('web');
  const before = (await detail('web')).State.Pid;
  await stage.ok('restart', '-t', '0', 'web');
  const again = (await detail('web')).State.Pid;
  assert.notEqual(again, before);
  await stage.ok('stop', '-t', '0', 'web');
  await stage.ok('restart', 'web');
  assert.notEqual((await detail('web')).State.Pid, again);
});

test('inspect shows what was done to end a container that does not', async () => {
  await start('web', 'trap "" TERM; echo ready; while :; do sleep 1; done');
  while ((await stage.ok('logs', 'web')) !== 'ready');
  assert.deepEqual((await detail('web')).State.Ending, []);
  await stage.ok('kill', '-s', 'TERM', 'web');
  const [{ At, Step, Error: error }] = (await detail('web')).State.Ending;
  assert.deepEqual([Step, error], ['signal 15', '']);
  assert.ok(Math.abs(Date.now() - Date.parse(At)) < 60_000);
});

test('rename frees the old name and refuses one that is taken or is none', async () => {
  await start('web');
  await start('db');
  assert.match((await stage.berth(['rename', 'web', 'db'])).stderr, /container name db .*already exists/);
  assert.match((await stage.berth(['rename', 'web', '-x'])).stderr, /./);
  assert.match((await stage.berth(['rename', 'web', 'a b'])).stderr, /container name "a b"/);
  await stage.ok('rename', 'web', 'web');
  await stage.ok('rename', 'web', 'front');
  assert.deepEqual((await stage.ok('ps', '--format', '{{.Names}}')).split('\n').sort(), ['db', 'front']);
  await start('web');
});

test('update changes the limits of what runs and of every later start', async () => {
  await start('web', 'sleep 1000', '--memory', '64m');
  const limitOf = async (file: string) => {
    const { State } = await detail('web');
    const line = readFileSync(`/proc/${State.Pid}/cgroup`, 'utf8')
      .split('\n')
      .find((one) =>
        one
          .split(':')[1]
          ?.split(',')
          .includes(file.split('.')[0] ?? ''),
      );
    return readFileSync(`/sys/fs/cgroup/${file.split('.')[0]}${line?.split(':')[2]}/${file}`, 'utf8').trim();
  };
  assert.equal(await limitOf('memory.limit_in_bytes'), String(64 * 2 ** 20));
  await stage.ok('update', '--memory', '96m', '--pids-limit', '50', '--cpus', '0.5', 'web');
  for (const _ of ['now', 'after a restart']) {
    assert.equal(await limitOf('memory.limit_in_bytes'), String(96 * 2 ** 20));
    assert.equal(await limitOf('pids.max'), '50');
    assert.equal(await limitOf('cpu.cfs_quota_us'), '50000');
    await stage.ok('restart', '-t', '0', 'web');
  }
  await stage.ok('update', '--pids-limit', '-1', '--cpus', '0', 'web');
  assert.equal(await limitOf('pids.max'), 'max');
  assert.equal(await limitOf('cpu.cfs_quota_us'), '-1');
});

test('update refuses what makes no sense and what the kernel refuses, and changes nothing', async () => {
  await start('web', 'sleep 1000', '--memory', '64m');
  const table: [string[], RegExp][] = [
    [['update', 'web'], /nothing to change\nhint: give a limit/],
    [['update', '--memory', '1k', 'web'], /memory limit 1024/],
    [['update', '--memory', 'much', 'web'], /invalid size/],
    [['update', '--cpu-shares', '1', 'web'], /cpu shares 1/],
    [['update', '--cpuset-cpus', '0;rm', 'web'], /cpuset "0;rm"/],
    [['update', '--cpuset-cpus', '900', 'web'], /cpuset|invalid|range/i],
    [['update', '--restart', 'often', 'web'], /restart policy "often" not supported/],
    [['update', '--memory', '64m', 'nope'], /no container is called "nope"/],
  ];
  const unchanged = (await detail('web')).Spec.linux.resources;
  for (const [args, message] of table) {
    const { status, stderr } = await stage.berth(args);
    assert.match(stderr, message, args.join(' '));
    assert.equal(status, 1);
  }
  assert.deepEqual((await detail('web')).Spec.linux.resources, unchanged);
});

test('stats shows what running containers use', async () => {
  await start('busy', 'while :; do :; done', '--memory', '64m', '--cpus', '0.3');
  await start('idle');
  const rows = (await stage.ok('stats', '--no-stream', '--json')).split('\n').map((line) => JSON.parse(line));
  const busy = rows.find(({ Name }) => Name === 'busy');
  assert.deepEqual(rows.map(({ Name }) => Name).sort(), ['busy', 'idle']);
  assert.ok(Number.parseFloat(busy.CPUPerc) > 5 && Number.parseFloat(busy.CPUPerc) < 60, busy.CPUPerc);
  assert.match(busy.MemUsage, / \/ 67\.1MB$/);
  assert.equal(busy.PIDs, 1);
  assert.match(
    await stage.ok('stats', '--no-stream', 'idle'),
    /^CONTAINER ID +NAME +CPU % .*\n\w{12} +idle +\d/,
  );
  assert.match((await stage.berth(['stats', '--no-stream', 'nope'])).stderr, /no container is called "nope"/);
});

test('top lists the processes of a container by their ids on this machine', async () => {
  await start('web', 'sleep 1001 & sleep 1002');
  const rows = (await stage.ok('top', 'web', '--json')).split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(
    rows
      .map(({ Command }) => Command)
      .filter((line) => /^sleep/.test(line))
      .sort(),
    ['sleep 1001', 'sleep 1002'],
  );
  assert.equal(rows[0].PID, (await detail('web')).State.Pid);
  await stage.ok('stop', '-t', '0', 'web');
  assert.match((await stage.berth(['top', 'web'])).stderr, /is not running\nhint: start it/);
});

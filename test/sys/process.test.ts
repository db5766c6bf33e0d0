import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { release } from 'node:os';
import { test } from 'node:test';
import { canReadExits, Pidfd } from '../../src/sys/pidfd.ts';
import { becomeSubreaper, findProcess, isAlive, reapChild, signalProcess } from '../../src/sys/process.ts';
import { until } from '../kit/until.ts';

/** Starts `script` as an orphan: its parent (a shell) ends, so it becomes a child of the nearest subreaper. */
async function orphan(script: string): Promise<number> {
  const shell = spawn('sh', ['-c', `(${script}) </dev/null >/dev/null 2>&1 & echo $!`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [[chunk]] = await Promise.all([once(shell.stdout, 'data'), once(shell, 'exit')]);
  return Number(String(chunk));
}

test('an orphan becomes our child, and its exit code is read through a pidfd and reaped', async () => {
  becomeSubreaper();
  const pid = await orphan('sleep 0.1; exit 42');
  assert.equal(findProcess(pid)?.parentPid, process.pid);
  using pidfd = Pidfd.open(pid);
  assert.ok(pidfd);
  await new Promise<void>((resolve) => pidfd.watch(resolve));
  assert.equal(findProcess(pid)?.state, 'Z');
  assert.deepEqual(reapChild(pid), { pid, status: 42, signal: 0 });
  assert.equal(reapChild(pid), undefined);
  assert.equal(findProcess(pid), undefined);
  if (canReadExits(release())) assert.deepEqual(pidfd.readExit(), { pid, status: 42, signal: 0 });
});

test('a killed process ends with 128 + signal, and signals to the gone are false', async () => {
  becomeSubreaper();
  const pid = await orphan('exec sleep 60');
  using pidfd = Pidfd.open(pid);
  assert.ok(pidfd);
  const start = findProcess(pid)?.startTicks ?? 0n;
  assert.equal(isAlive(pid, start), true);
  assert.equal(isAlive(pid, start + 1n), false);
  assert.equal(pidfd.readExit(), undefined);
  const ended = new Promise<void>((resolve) => pidfd.watch(resolve));
  assert.equal(pidfd.signal(9), true);
  await ended;
  assert.equal(isAlive(pid, start), false);
  assert.deepEqual(reapChild(pid), { pid, status: 137, signal: 9 });
  assert.equal(pidfd.signal(9), false);
  assert.equal(signalProcess(pid, 0), false);
  assert.equal(Pidfd.open(pid), undefined);
});

test('the exit code of a process that is not our child is known from Linux 6.15 on', {
  skip: !canReadExits(release()),
}, async () => {
  const stranger = spawn('sh', ['-c', 'exec 3<&0; sh -c "echo \\$\\$; read line; exit 7" <&3; sleep 0.2'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [chunk] = await once(stranger.stdout, 'data');
  const pid = Number(String(chunk));
  using pidfd = Pidfd.open(pid);
  assert.ok(pidfd);
  assert.notEqual(findProcess(pid)?.parentPid, process.pid);
  const ended = new Promise<void>((resolve) => pidfd.watch(resolve));
  stranger.stdin.end('go\n');
  await ended;
  await until(() => pidfd.readExit() !== undefined, 'its exit');
  assert.deepEqual(pidfd.readExit(), { pid, status: 7, signal: 0 });
  await once(stranger, 'exit');
});

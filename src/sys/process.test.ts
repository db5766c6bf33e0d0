import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canReadExits } from './pidfd.ts';
import { findProcess, isAlive, parseStat, peekExitedChild, reapChild } from './process.ts';

test('a program name with spaces and parentheses does not shift the fields of stat', () => {
  const text = `7 (a) b (c) S 3 ${Array.from({ length: 17 }, (_, i) => i).join(' ')} 123456789012345678 0 0`;
  assert.deepEqual(parseStat(7, text), { pid: 7, parentPid: 3, state: 'S', startTicks: 123456789012345678n });
  for (const broken of ['', '7', '7 (a)', '7 (a) S 3']) assert.equal(parseStat(7, broken), undefined);
});

test('this process is alive, with its start time only', () => {
  const self = findProcess(process.pid);
  assert.equal(self?.parentPid, process.ppid);
  assert.equal(isAlive(process.pid, self?.startTicks ?? 0n), true);
  assert.equal(isAlive(process.pid, 1n), false);
  assert.equal(findProcess(2 ** 22 + 1), undefined);
});

test('without children there is nothing to reap', () => {
  assert.equal(peekExitedChild(), undefined);
  assert.equal(reapChild(1), undefined);
});

test('kernels that tell the exit code of strangers are known by their release', () => {
  for (const release of ['6.15.0', '6.18.44-fc', '7.0']) assert.equal(canReadExits(release), true);
  for (const release of ['6.14.9', '6.1.0-41-amd64', '5.19', '', 'x'])
    assert.equal(canReadExits(release), false);
});

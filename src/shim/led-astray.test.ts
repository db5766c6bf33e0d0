import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { refuseMagicDirectory, refuseMagicExec, refuseOddRoot } from './led-astray.ts';

const refused = [
  '/proc/self/fd/7',
  '/proc/self/fd/7/../../etc',
  '/proc/thread-self/fd/8',
  '/proc/1/root',
  '/proc/42/cwd',
  '//proc//self/fd/9',
  '/x/../proc/self',
  '/dev/fd/3',
];
for (const cwd of refused)
  test(`CVE-2024-21626: the working directory ${cwd} is refused, of the first process and of others`, () => {
    assert.throws(() => refuseMagicDirectory(cwd), { kind: 'invalid_argument' });
    const spec = Buffer.from(JSON.stringify({ args: ['x'], cwd }));
    assert.throws(() => refuseMagicExec(spec), { kind: 'invalid_argument' });
  });

test('other working directories pass, and what is no specification is left to the runtime', () => {
  for (const cwd of [
    '/',
    '/proc',
    '/proc/sys',
    '/procession/self',
    '/dev/shm',
    '/srv/proc/self/fd',
    '',
    undefined,
  ])
    refuseMagicDirectory(cwd);
  for (const text of ['', '{', 'null', '[]', '{"cwd":5}']) refuseMagicExec(Buffer.from(text));
});

test('CVE-2025-31133: a root whose /proc is a link is refused, an ordinary one and one that is not there are not', () => {
  const dir = mkdtempSync(join(tmpdir(), 'berth-astray-'));
  try {
    mkdirSync(join(dir, 'good/proc'), { recursive: true });
    mkdirSync(join(dir, 'bad'));
    symlinkSync('/etc', join(dir, 'bad/proc'));
    assert.throws(() => refuseOddRoot(join(dir, 'bad')), { kind: 'failed_precondition' });
    for (const path of ['good', 'none', 'none/at/all']) refuseOddRoot(join(dir, path));
  } finally {
    rmSync(dir, { recursive: true });
  }
});

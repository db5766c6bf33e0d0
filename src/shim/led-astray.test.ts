import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { refuseMagicExec, refuseOddRoot } from './led-astray.ts';

test('CVE-2024-21626: an exec whose working directory is behind an open file is refused, others pass', () => {
  const spec = (cwd: unknown) => Buffer.from(JSON.stringify({ args: ['x'], cwd }));
  for (const cwd of ['/proc/self/fd/7', '/x/../proc/1/root'])
    assert.throws(() => refuseMagicExec(spec(cwd)), { kind: 'invalid_argument' });
  for (const cwd of ['/', '/proc', '', 5, undefined]) refuseMagicExec(spec(cwd));
  for (const text of ['', '{', 'null', '[]']) refuseMagicExec(Buffer.from(text));
});

test('CVE-2025-31133, CVE-2024-21626: a root whose /proc is a link is refused, so is a working directory that leads to an open file, an ordinary one and one that is not there are not', () => {
  const dir = mkdtempSync(join(tmpdir(), 'berth-astray-'));
  try {
    mkdirSync(join(dir, 'good/proc'), { recursive: true });
    mkdirSync(join(dir, 'bad'));
    symlinkSync('/etc', join(dir, 'bad/proc'));
    symlinkSync('/proc/self/fd/8', join(dir, 'good/work'));
    assert.throws(() => refuseOddRoot(join(dir, 'bad'), '/'), { kind: 'failed_precondition' });
    for (const path of ['good', 'none', 'none/at/all']) refuseOddRoot(join(dir, path), '/srv');
    for (const cwd of ['/work', '/proc/self/fd/8'])
      assert.throws(() => refuseOddRoot(join(dir, 'good'), cwd), { kind: 'invalid_argument' });
  } finally {
    rmSync(dir, { recursive: true });
  }
});

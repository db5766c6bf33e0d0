import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const noCrun = spawnSync('crun', ['--version']).error !== undefined;
const hybrid = existsSync('/sys/fs/cgroup/unified/cgroup.controllers');

/** crun refuses hybrid hosts, so the unified hierarchy is taken out of sight in a mount namespace of its own. */
function underCrun(file: string) {
  const script = `${hybrid ? 'umount /sys/fs/cgroup/unified && ' : ''}exec "$0" --test "$1"`;
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const args = ['-m', 'sh', '-c', script, process.execPath, join(import.meta.dirname, file)];
  return spawnSync('unshare', args, { encoding: 'utf8', env, timeout: 300_000 });
}

for (const file of [
  'tasks.test.ts',
  'resilience.test.ts',
  'kill-shim.test.ts',
  'streams.test.ts',
  'ends.test.ts',
  '../bad-input/tasks.test.ts',
]) {
  test(`all of ${file} holds with crun too`, { skip: noCrun ? 'crun is not installed' : false }, () => {
    const { status, stdout } = underCrun(file);
    assert.equal(status, 0, stdout);
  });
}

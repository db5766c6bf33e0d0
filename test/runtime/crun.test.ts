import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tools } from '../kit/paths.ts';

const noCrun = spawnSync('crun', ['--version']).error !== undefined;
const hybrid = existsSync('/sys/fs/cgroup/unified/cgroup.controllers');

/** crun refuses hybrid hosts, so the unified hierarchy is taken out of sight in a mount namespace of its own. */
function underCrun(file: string, path = process.env.PATH) {
  const script = `${hybrid ? 'umount /sys/fs/cgroup/unified && ' : ''}exec "$0" --test "$1"`;
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const args = ['-m', 'sh', '-c', script, process.execPath, join(import.meta.dirname, file)];
  return spawnSync('unshare', args, { encoding: 'utf8', env: { ...env, PATH: path }, timeout: 300_000 });
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

const withCriu = `${tools}/crun/bin`;

test('all of checkpoint.test.ts holds with a crun that knows criu', {
  skip: existsSync(withCriu) ? false : `there is no crun in ${withCriu}`,
}, () => {
  const { status, stdout } = underCrun('checkpoint.test.ts', `${withCriu}:${process.env.PATH}`);
  assert.equal(status, 0, stdout);
});

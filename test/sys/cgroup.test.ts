import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { codeOf } from '../../src/errors/error.ts';
import { cgroupHierarchies, killCgroup, listCgroupPids, removeCgroup } from '../../src/sys/cgroup.ts';

for (const version of [1, 2] as const) {
  const hierarchy = cgroupHierarchies().find(
    (h) => h.version === version && (version === 2 || h.controllers.includes('pids')),
  );
  test(`processes in a cgroup v${version} are listed and killed, and the cgroup waits for their ends`, {
    skip: !hierarchy,
  }, async () => {
    const path = `/berth-test-live-${process.pid}-${version}`;
    const directory = join(hierarchy?.mountPoint ?? '', path, 'inner');
    mkdirSync(directory, { recursive: true });
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    const exited = once(child, 'exit');
    try {
      writeFileSync(join(directory, 'cgroup.procs'), String(child.pid));
      assert.deepEqual(listCgroupPids(path), [child.pid]);
      await assert.rejects(removeCgroup(path, 30), (e) => codeOf(e) === 'EBUSY');
      await killCgroup(path);
      await removeCgroup(path);
      assert.equal((await exited)[1], 'SIGKILL');
      assert.equal(existsSync(join(hierarchy?.mountPoint ?? '', path)), false);
    } finally {
      child.kill('SIGKILL');
      await exited;
      await removeCgroup(path);
    }
  });
}

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startContainerd } from '../../bench/daemons.ts';
import { startDaemon } from '../kit/daemon.ts';
import { ctr2 } from '../kit/paths.ts';
import { TestRegistry } from '../kit/registry.ts';
import { output } from '../kit/run.ts';

/** containerd 2.3.4 as referee: the same changes on both daemons are the same layer, but for times. */

const scratch = mkdtempSync(join(process.env.BERTH_TEST_SCRATCH ?? '/var/tmp', 'berth-referee-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

const changes = [
  'echo new >root/new; chmod 4711 root/new; touch -d 2001-01-01 root/new',
  'rm -r etc; mkdir etc; echo hi >etc/hosts; touch -d 2001-01-01 etc/hosts etc',
  'ln root/new tmp/link; ln -s ../root/new tmp/symlink; mkfifo tmp/fifo; mknod tmp/null c 1 3',
  'mkdir -p deep/er/still; chown 5:6 deep/er; printf x >"deep/er/$(printf %0200d 7)"',
  'rm bin/sh 2>/dev/null || rm bin/busybox; truncate -s 3M tmp/hole; touch -d 2001-01-01 tmp/* deep/er/still deep/er deep',
].join('\n');

/** Prepares a snapshot, changes it and shows the layer as a list: type, mode, owner, size, name, link. */
async function layerOf(address: string, image: string): Promise<string[]> {
  const on = (line: string) =>
    output('bash', ['-ec', line], { cwd: scratch, env: { C: `${ctr2} -a ${address}`, IMG: image } });
  await on('$C images pull --plain-http $IMG');
  const parent = await on("$C snapshots ls | awk '/Committed/{print $1}' | head -1");
  await on(
    `$C snapshots prepare d ${parent}; m=$($C snapshots mounts $PWD/m d); mkdir -p m; $m; cd m; (${changes}\n); cd ..; umount m`,
  );
  const listed = await on('$C snapshots diff d | tar --numeric-owner -tvzf -');
  return listed.split('\n').map((line) => line.replace(/\d{4}-\d\d-\d\d \d\d:\d\d/, ''));
}

test('the same changes make the layer that containerd makes of them', async () => {
  await using registry = await TestRegistry.start();
  const image = await registry.pushBusybox();
  await using daemon = await startDaemon();
  const containerd = await startContainerd(join(scratch, 'containerd'));
  try {
    const [ours, theirs] = [await layerOf(daemon.address, image), await layerOf(containerd.address, image)];
    // containerd writes holes as zeros under the same size; which name of a file comes first is told by order alone.
    assert.deepEqual(ours.sort(), theirs.sort());
  } finally {
    await containerd.stop();
  }
});

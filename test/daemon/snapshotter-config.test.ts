import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect } from '../../src/client/index.ts';
import { startDaemon } from '../kit/daemon.ts';

const dir = mkdtempSync('/var/tmp/berth-snapshotter-');
after(() => rmSync(dir, { recursive: true, force: true }));

const kept = { 'containerd.io/gc.root': '1' };

test("overlayfs keeps to containerd's root_path, mount_options and upperdir_label, native to its root_path", async () => {
  const [overlay, native] = [join(dir, 'overlay'), join(dir, 'native')];
  const config = [
    'version = 3',
    '[plugins."io.containerd.snapshotter.v1.overlayfs"]',
    `root_path = "${overlay}"\nmount_options = ["volatile", "index=on"]\nupperdir_label = true`,
    `[plugins."io.containerd.snapshotter.v1.native"]\nroot_path = "${native}"`,
  ].join('\n');
  await using daemon = await startDaemon({ config: `${config}\n` });
  using client = connect({ address: daemon.address });
  const [ctx, snapshots] = [client.context(), client.snapshotter('overlayfs')];
  await snapshots.prepare(ctx, 'one', '', kept);
  await snapshots.commit(ctx, 'base', 'one', kept);
  const [mount] = await snapshots.prepare(ctx, 'two', 'base', kept);
  assert.deepEqual(mount?.options.slice(0, 2), ['volatile', 'index=on']);
  const upper =
    mount?.options.find((option) => option.startsWith('upperdir='))?.slice('upperdir='.length) ?? '';
  assert.ok(upper.startsWith(`${overlay}/snapshots/`), upper);
  const key = 'containerd.io/snapshot/overlay.upperdir';
  assert.equal((await snapshots.stat(ctx, 'two')).labels[key], upper);
  const listed = await snapshots.list(ctx, [`labels."${key}"==${JSON.stringify(upper)}`]);
  assert.deepEqual(
    listed.map(({ name }) => name),
    ['two'],
  );
  // It is told, never kept: an update of other labels leaves it out of the record.
  await snapshots.update(ctx, { name: 'two', labels: { ...kept, a: 'b' } }, ['labels']);
  assert.deepEqual(Object.keys((await snapshots.stat(ctx, 'two')).labels).sort(), [
    'a',
    'containerd.io/gc.root',
    key,
  ]);
  await client.snapshotter('native').prepare(ctx, 'three', '', kept);
  assert.equal(readdirSync(join(native, 'snapshots')).length, 1);
  for (const name of ['two', 'base']) await snapshots.remove(ctx, name);
  await client.snapshotter('native').remove(ctx, 'three');
});

test('a plug-in in another process has proxy_timeout for its answer', async () => {
  const address = join(dir, 'mute.sock');
  const mute = createServer(() => {}).listen(address);
  after(() => mute.close());
  const config = `[berth]\nproxy_timeout = "200ms"\n[proxy_plugins.mute]\ntype = "snapshot"\naddress = "${address}"\n`;
  await using daemon = await startDaemon({ config });
  using client = connect({ address: daemon.address, timeoutMs: 20_000 });
  await assert.rejects(client.snapshotter('mute').prepare(client.context(), 'one', ''), {
    kind: 'unavailable',
  });
});

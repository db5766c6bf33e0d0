import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect } from '../../src/client/index.ts';
import { startDaemon } from '../kit/daemon.ts';

const daemon = await startDaemon();
after(() => daemon[Symbol.asyncDispose]());

test('mounts are activated, told and undone', async () => {
  using client = connect({ address: daemon.address });
  const { mounts } = client;
  const { id: lease } = await client.leases.create();
  const disk = {
    type: 'mkfs/loop',
    source: join(daemon.root, 'disk.img'),
    options: ['X-containerd.mkfs.size=32MiB', 'X-containerd.mkfs.fs=ext4'],
  };
  const ext4 = { type: 'format/ext4', source: '{{ mount 0 }}', options: [] };
  const made = await mounts.activate('disk', [disk, ext4], { lease, labels: { a: 'b' }, temporary: true });
  assert.deepEqual([made.name, made.labels, made.active.length], ['disk', { a: 'b' }, 2]);
  assert.ok(existsSync(join(made.active[1]?.mountPoint ?? '', 'lost+found')));
  assert.deepEqual(
    made.system.map(({ type }) => type),
    ['bind'],
  );
  assert.deepEqual(await mounts.get('disk'), made);
  assert.deepEqual(await mounts.list(['labels.a==b']), [made]);
  await assert.rejects(mounts.activate('disk', [disk], { lease }), { kind: 'already_exists' });
  await mounts.deactivate('disk');
  assert.deepEqual(await mounts.list(), []);
  await assert.rejects(mounts.get('disk'), { kind: 'not_found' });
});

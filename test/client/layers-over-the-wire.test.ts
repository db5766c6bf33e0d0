import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect } from '../../src/client/index.ts';
import { startDaemon } from '../kit/daemon.ts';

const daemon = await startDaemon();
after(() => daemon[Symbol.asyncDispose]());

test('a difference is stored as a layer and applied to another tree', async () => {
  using client = connect({ address: daemon.address });
  const dir = await mkdtemp(join(tmpdir(), 'berth-layers-'));
  const bind = (name: string) => [{ type: 'bind', source: join(dir, name), options: ['rbind', 'rw'] }];
  try {
    const [lower, upper] = [await mkdtemp(join(dir, 'l')), await mkdtemp(join(dir, 'u'))];
    await writeFile(join(upper, 'new'), 'hello');
    const lease = (await client.leases.create({ id: 'layer' })).id;
    const of = (path: string) => bind(path.slice(dir.length + 1));
    const options = { lease, sourceDateEpoch: new Date(1000) };
    const layer = await client.layers.compare(of(lower), of(upper), options);
    assert.equal(layer.mediaType, 'application/vnd.oci.image.layer.v1.tar+gzip');
    assert.deepEqual(await client.layers.compare(of(lower), of(upper), options), layer, 'the same again');

    const snapshotter = client.snapshotter('native');
    const ctx = client.context({ lease });
    const mounts = await snapshotter.prepare(ctx, 'target', '');
    const applied = await client.layers.apply(layer, mounts, { lease });
    assert.equal(applied.mediaType, 'application/vnd.oci.image.layer.v1.tar');
    assert.equal(await readFile(join(mounts[0]?.source ?? '', 'new'), 'utf8'), 'hello');
    const absent = { ...layer, digest: applied.digest };
    await assert.rejects(client.layers.apply(absent, mounts), { kind: 'not_found' });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

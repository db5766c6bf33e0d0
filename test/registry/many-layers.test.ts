import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { withTempMount } from '../../src/sys/temp-mount.ts';
import { FlakyRegistry, tarOf } from '../kit/flaky-registry.ts';
import { inventory, openStack, pullQuietly } from './stack.ts';

const unpack = [{ snapshotter: '', platform: { os: 'linux', architecture: 'amd64' } }];
const count = 400;

test(`an image of ${count} layers is pulled, and a snapshot on it shows the files of all`, async () => {
  await using registry = await FlakyRegistry.start();
  await using stack = await openStack();
  const tars = Array.from({ length: count }, (_, i) => tarOf({ [`d/${i}`]: `${i}` }));
  registry.addImage('x/y', 'latest', tars);
  await pullQuietly(stack.parts, stack.ctx, { reference: `${registry.host}/x/y:latest`, unpack });
  const snapshotter = stack.metadata.snapshotters.get('overlayfs') ?? assert.fail();
  const infos = await snapshotter.list(stack.ctx);
  assert.equal(infos.length, count);
  const parents = new Set(infos.map(({ parent }) => parent));
  const top = infos.find(({ name }) => !parents.has(name)) ?? assert.fail('no top');
  const mounts = await snapshotter.view(stack.ctx, 'look', top.name);
  await withTempMount(mounts, async (path) => {
    for (let i = 0; i < count; i++) assert.equal(readFileSync(join(path, `d/${i}`), 'utf8'), `${i}`);
  });
  await snapshotter.remove(stack.ctx, 'look');
  const { leases, ingests, snapshots } = await inventory(stack);
  assert.deepEqual([leases, ingests, snapshots.length], [0, [], count]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cgroupHierarchies, cgroupsOf } from './cgroup.ts';
import { rouseCgroupMoves } from './cgroup-migration.ts';

const asRoot = { skip: process.getuid?.() !== 0 || cgroupHierarchies().length === 0 };

test('rousing the moves between cgroups leaves this process where it is', asRoot, async () => {
  const before = [...cgroupsOf('self')];
  await Promise.all([rouseCgroupMoves(), rouseCgroupMoves()]);
  assert.deepEqual([...cgroupsOf('self')], before);
});

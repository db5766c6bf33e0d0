import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { kindOf } from '../errors/error.ts';
import {
  cgroupDirectories,
  cgroupHierarchies,
  cgroupMode,
  cgroupsOf,
  killCgroup,
  listCgroupPids,
  removeCgroup,
} from './cgroup.ts';

const asRoot = { skip: process.getuid?.() !== 0 || cgroupHierarchies().length === 0 };
const v1 = { mountPoint: '/a', version: 1, controllers: ['cpu'] } as const;
const v2 = { mountPoint: '/b', version: 2, controllers: [] } as const;

test('the mode follows from the hierarchies that are mounted', () => {
  assert.deepEqual(
    [cgroupMode([v1, v2]), cgroupMode([v2]), cgroupMode([v1]), cgroupMode([])],
    ['hybrid', 'unified', 'legacy', 'none'],
  );
});

test('cgroup paths that climb, or name the root, are refused', () => {
  for (const path of ['/', '', 'a', '/a/../b', '/a//b', '/a/', '/..', '/a\0b', '/./a'])
    assert.throws(
      () => cgroupDirectories(path),
      (e) => kindOf(e) === 'invalid_argument',
      path,
    );
});

test('a cgroup that does not exist has no pids and is removed already', async () => {
  assert.deepEqual(listCgroupPids('/berth-absent/x'), []);
  await removeCgroup('/berth-absent');
  await killCgroup('/berth-absent');
});

test('this process is in a cgroup', asRoot, () => {
  assert.ok([...cgroupsOf('self').values()].every((path) => path.startsWith('/')));
});

test('a cgroup is removed with those below it, in every hierarchy', asRoot, async () => {
  const path = `/berth-test-${process.pid}`;
  // v1 cpuset children need settings first, so one hierarchy of each version is enough.
  const chosen = cgroupHierarchies().filter((h) => h.version === 2 || h.controllers.includes('pids'));
  for (const { mountPoint } of chosen) mkdirSync(join(mountPoint, path, 'a/b'), { recursive: true });
  assert.equal(cgroupDirectories(path).length, chosen.length);
  assert.deepEqual(listCgroupPids(path), []);
  await killCgroup(path);
  await removeCgroup(path);
  for (const { mountPoint } of chosen) assert.equal(existsSync(join(mountPoint, path)), false);
});

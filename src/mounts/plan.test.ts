import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planMounts } from './plan.ts';

const mounts = (...types: string[]) => types.map((type) => ({ type, source: 's', options: [] }));

test('what mount(2) can do is not planned', () => {
  assert.equal(planMounts(mounts('bind', 'overlay'), {}), undefined);
  assert.equal(planMounts([], { temporary: true }), undefined);
  assert.equal(planMounts(mounts('other/bind'), {}), undefined);
});

test('everything before a transform, and what a handler makes, is made here', () => {
  const cases: [string[], number][] = [
    [['format/bind'], 0],
    [['bind', 'format/bind', 'bind'], 1],
    [['erofs', 'bind'], 1],
    [['mkfs/loop'], 1],
    [['mkfs/loop', 'format/ext4', 'format/mkdir/overlay'], 2],
  ];
  for (const [types, performed] of cases)
    assert.equal(planMounts(mounts(...types), {})?.performed, performed);
  assert.equal(planMounts(mounts('bind', 'bind'), { temporary: true })?.performed, 2);
});

test('transforms are taken off from the left, words that are none stay in the type', () => {
  const [step] = planMounts(mounts('format/mkdir/odd/overlay'), {})?.steps ?? [];
  assert.deepEqual([step?.transforms, step?.type], [['format', 'mkdir'], 'odd/overlay']);
});

test('what the caller sees to himself is left to him, unless something after it needs it', () => {
  const plan = (types: string[], ...allow: string[]) => planMounts(mounts(...types), { allow })?.performed;
  assert.equal(plan(['erofs', 'overlay'], 'erofs'), undefined);
  assert.equal(plan(['erofs', 'format/overlay'], 'erofs', 'format/*'), undefined);
  assert.equal(plan(['erofs', 'format/overlay'], 'erofs', 'format/overlay'), undefined);
  assert.equal(plan(['erofs', 'format/mkdir/overlay'], 'erofs', 'format/*'), 1);
  assert.equal(plan(['erofs', 'format/overlay'], 'erofs'), 1);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../../errors/error.ts';
import { sidesOf } from './diff-sides.ts';

const bind = (source: string) => ({ type: 'bind', source, options: ['rw', 'rbind'] });
const overlay = (...options: string[]) => ({ type: 'overlay', source: 'overlay', options });
const active = overlay('index=off', 'workdir=/w', 'upperdir=/u', 'lowerdir=/b:/a');

test('an upperdir, or the top of a view, over the layers of the other side is looked at alone', () => {
  assert.deepEqual(sidesOf([overlay('lowerdir=/b:/a')], [active]).upper, {
    directory: '/u',
    userXattr: false,
  });
  assert.equal(
    sidesOf([bind('/a')], [overlay('upperdir=/u', 'userxattr', 'lowerdir=/a')]).upper?.userXattr,
    true,
  );
  assert.equal(sidesOf([bind('/a')], [overlay('lowerdir=/b:/a')]).upper?.directory, '/b');
});

test('anything else is walked whole', () => {
  for (const left of [[], [bind('/a')], [overlay('lowerdir=/a:/b')], [overlay('lowerdir=/b:/a'), bind('/x')]])
    assert.equal(sidesOf(left, [active]).upper, undefined);
  const redirecting = overlay('redirect_dir=on', ...active.options);
  assert.equal(sidesOf([overlay('lowerdir=/b:/a')], [redirecting]).upper, undefined);
  assert.equal(sidesOf([bind('/a')], [bind('/b')]).upper, undefined);
});

test('nothing is mounted writable, and a single directory not at all', () => {
  const { left, right } = sidesOf([bind('/a')], [active]);
  assert.deepEqual(left, { directory: '/a' });
  assert.deepEqual(right, { mounts: [overlay('index=off', 'lowerdir=/u:/b:/a')] });
  assert.deepEqual(sidesOf([], [overlay('upperdir=/u')]), {
    left: undefined,
    right: { directory: '/u' },
    upper: undefined,
  });
  const other = { type: 'erofs', source: '/image', options: ['rw'] };
  assert.deepEqual(sidesOf([], [other]).right, { mounts: [{ ...other, options: ['ro'] }] });
  assert.throws(
    () => sidesOf([], []),
    (e) => isKind(e, 'invalid_argument'),
  );
});

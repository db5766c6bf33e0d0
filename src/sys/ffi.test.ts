import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOf } from '../errors/error.ts';
import { check, cPath, errnoName, kernelCall, libcCall, libcLongCall, pathText } from './ffi.ts';

const closeCall = libcCall('close', ['int']);
const EBADF = 9;

test('a failed call answers -errno, by libc and by number, now and later', async () => {
  const statx = kernelCall(439, ['int', 'const char *', 'int', 'int']);
  assert.equal(closeCall(-1), -EBADF);
  assert.equal(await closeCall.wait(-1), -EBADF);
  assert.equal(statx(-1, 'relative', 0, 0), -EBADF);
  assert.equal(await statx.wait(-1, 'relative', 0, 0), -EBADF);
});

test('a thousand waiting calls at once all get their own errno', async () => {
  const lseek = libcLongCall('lseek', ['int', 'int64', 'int']);
  const calls = Array.from({ length: 1000 }, (_, i) =>
    i % 2 === 0 ? lseek.wait(-1, 0, 0) : closeCall.wait(-1),
  );
  assert.deepEqual(new Set(await Promise.all(calls)), new Set([-EBADF]));
});

test('errors have the names Node gives them', () => {
  assert.deepEqual([2, 11, 95, 117, 4000].map(errnoName), ['ENOENT', 'EAGAIN', 'ENOTSUP', 'E117', 'E4000']);
  assert.equal(check('x', 3), 3);
  assert.throws(() => check('x', -2, Buffer.from('a\xff', 'latin1')), /^SysError: x a\uFFFD: ENOENT$/);
});

test('paths for C end where they end, whatever buffer they lie in', () => {
  const pool = Buffer.from('..name..');
  assert.deepEqual(cPath(pool.subarray(2, 6)), Buffer.from('name\0'));
  assert.equal(pathText(pool.subarray(2, 6)), 'name');
  for (const bad of ['\0', 'a\0', Buffer.from('a\0b')])
    assert.throws(
      () => cPath(bad),
      (e) => codeOf(e) === 'EINVAL',
    );
});

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { codeOf, SysError } from '../errors/error.ts';
import { AT_FDCWD, O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR, S_IFCHR, S_IFIFO, S_IFLNK } from './constants.ts';
import type { Fd } from './fd.ts';
import {
  chmodAt,
  chownAt,
  linkAt,
  linkFd,
  mkdirAt,
  mknodAt,
  openAt,
  openPathAt,
  readlinkAt,
  renameAt,
  rmdirAt,
  symlinkAt,
  syncFileSystem,
  unlinkAt,
  utimesAt,
} from './files.ts';
import { tryLockFile } from './lock-file.ts';
import { statAt, statFd, typeOf } from './stat.ts';
import { getXattr, listXattrs, pathIn, setXattr } from './xattr.ts';

function scratch(): Disposable & { path: string; dir: Fd } {
  const path = mkdtempSync(join(tmpdir(), 'berth-files-'));
  const dir = openAt(AT_FDCWD, path, O_DIRECTORY);
  return {
    path,
    dir,
    [Symbol.dispose]() {
      dir.close();
      rmSync(path, { recursive: true });
    },
  };
}
const hasCode = (code: string) => (error: unknown) => codeOf(error) === code;

test('a failed call throws a SysError that names call, code and path', () => {
  assert.throws(
    () => openAt(AT_FDCWD, '/no/such', O_RDONLY),
    (error) => {
      assert.ok(error instanceof SysError);
      assert.deepEqual(
        [error.syscall, error.code, error.errno, error.path],
        ['openat', 'ENOENT', 2, '/no/such'],
      );
      return true;
    },
  );
});

test('a name with a NUL is refused instead of being cut off', () => {
  using s = scratch();
  for (const name of ['a\0b', Buffer.from('a\0b')])
    assert.throws(() => mkdirAt(s.dir, name, 0o755), hasCode('EINVAL'));
});

test('names may be any bytes, and short names in a pooled buffer end where they end', () => {
  using s = scratch();
  const name = Buffer.from([0x66, 0xff, 0xfe, 0x0a]);
  openAt(s.dir, name, O_CREAT | O_RDWR, 0o600).close();
  assert.equal(statAt(s.dir, name).sizeBytes, 0);
  renameAt(s.dir, name, s.dir, Buffer.from('ab'));
  assert.equal(statAt(s.dir, 'ab').nlink, 1);
});

test('a descriptor throws once it is closed, and closing twice is fine', () => {
  using s = scratch();
  const fd = openAt(s.dir, 'f', O_CREAT | O_RDWR, 0o600);
  fd.close();
  fd.close();
  assert.throws(() => fd.fd, TypeError);
});

test('owner, mode and times to the nanosecond are set on the link, not on its target', () => {
  using s = scratch();
  symlinkAt('target', s.dir, 'link');
  writeFileSync(join(s.path, 'target'), 'x');
  const before = statAt(s.dir, 'target');
  chownAt(s.dir, 'link', 12345, 54321);
  utimesAt(s.dir, 'link', 1_234_567_890_123_456_789n, -1_500_000_001n);
  assert.throws(() => chmodAt(s.dir, 'link', 0o777), hasCode('ENOTSUP'));
  const link = statAt(s.dir, 'link');
  assert.equal(typeOf(link), S_IFLNK);
  assert.deepEqual(
    [link.uid, link.gid, link.atimeNs, link.mtimeNs],
    [12345, 54321, 1234567890123456789n, -1500000001n],
  );
  assert.deepEqual(statAt(s.dir, 'target'), before);
  assert.equal(readlinkAt(s.dir, 'link').toString(), 'target');
});

test('times of an open directory can be set, and one of them left alone', () => {
  using s = scratch();
  utimesAt(s.dir, '', 5n, 7n);
  utimesAt(s.dir, '', undefined, 9n);
  const stat = statFd(s.dir);
  assert.deepEqual([stat.atimeNs, stat.mtimeNs], [5n, 9n]);
});

test('device nodes keep large major and minor numbers', { skip: process.getuid?.() !== 0 }, () => {
  using s = scratch();
  mknodAt(s.dir, 'dev', S_IFCHR | 0o600, 300, 70000);
  assert.deepEqual(statAt(s.dir, 'dev').rdev, { major: 300, minor: 70000 });
  mknodAt(s.dir, 'whiteout', S_IFCHR, 0, 0);
  assert.deepEqual(statAt(s.dir, 'whiteout').rdev, { major: 0, minor: 0 });
});

test('opening a FIFO or symlink as a path never blocks or follows', () => {
  using s = scratch();
  mknodAt(s.dir, 'fifo', S_IFIFO | 0o600);
  symlinkAt('/etc/passwd', s.dir, 'link');
  using fifo = openPathAt(s.dir, 'fifo');
  using link = openPathAt(s.dir, 'link');
  assert.deepEqual([typeOf(statFd(fifo)), typeOf(statFd(link))], [S_IFIFO, S_IFLNK]);
  assert.throws(() => openAt(s.dir, 'link', O_RDONLY), hasCode('ELOOP'));
});

test('CVE-2021-32760: a hard link to a symlink is the symlink, not its target', () => {
  using s = scratch();
  writeFileSync(join(s.path, 'sentinel'), 'x', { mode: 0o600 });
  symlinkAt(join(s.path, 'sentinel'), s.dir, 'a');
  linkAt(s.dir, 'a', s.dir, 'b');
  assert.equal(typeOf(statAt(s.dir, 'b')), S_IFLNK);
  assert.throws(() => chmodAt(s.dir, 'b', 0o4777), hasCode('ENOTSUP'));
  assert.equal(statAt(s.dir, 'sentinel').mode & 0o7777, 0o600);
});

test('an open file can be given a name', { skip: process.getuid?.() !== 0 }, () => {
  using s = scratch();
  using file = openAt(s.dir, 'f', O_CREAT | O_RDWR, 0o600);
  unlinkAt(s.dir, 'f');
  assert.throws(() => linkFd(file, s.dir, 'g'), hasCode('ENOENT'));
  using kept = openAt(s.dir, 'h', O_CREAT | O_RDWR, 0o600);
  linkFd(kept, s.dir, 'i');
  assert.equal(statFd(kept).nlink, 2);
});

test('extended attributes are set, read and listed by path and by descriptor', () => {
  using s = scratch();
  using file = openAt(s.dir, 'f', O_CREAT | O_RDWR, 0o600);
  setXattr(file, 'user.one', Buffer.from([1, 0, 2]));
  setXattr(pathIn(s.dir, 'f'), 'user.two', Buffer.alloc(0));
  assert.deepEqual(getXattr(pathIn(s.dir, Buffer.from('f')), 'user.one'), Buffer.from([1, 0, 2]));
  assert.deepEqual(getXattr(file, 'user.two'), Buffer.alloc(0));
  assert.equal(getXattr(file, 'user.none'), undefined);
  assert.deepEqual(listXattrs(file).map(String).sort(), ['user.one', 'user.two']);
  assert.equal(listXattrs(pathIn(s.dir, 'f')).length, 2);
});

test('a directory is made and removed', () => {
  using s = scratch();
  mkdirAt(s.dir, 'd', 0o755);
  assert.throws(() => unlinkAt(s.dir, 'd'), hasCode('EISDIR'));
  rmdirAt(s.dir, 'd');
  assert.throws(() => statAt(s.dir, 'd'), hasCode('ENOENT'));
});

test('the root of a mount is recognised', async () => {
  using proc = openAt(AT_FDCWD, '/proc', O_DIRECTORY);
  assert.equal(statFd(proc).mountRoot, true);
  using s = scratch();
  assert.equal(statFd(s.dir).mountRoot, false);
  await syncFileSystem(s.dir);
});

test('a locked file is refused to a second holder until the first lets go', () => {
  using s = scratch();
  const path = join(s.path, 'lock');
  const first = tryLockFile(path);
  assert.ok(first);
  assert.equal(tryLockFile(path), undefined);
  first.close();
  using second = tryLockFile(path);
  assert.ok(second);
});

test('a descriptor made here is not inherited by children', () => {
  using s = scratch();
  using file = openAt(s.dir, 'f', O_CREAT | O_RDWR, 0o600);
  const flags = readFileSync(`/proc/self/fdinfo/${file.fd}`, 'utf8').match(/flags:\s*(\d+)/)?.[1];
  assert.ok(Number.parseInt(flags ?? '0', 8) & 0o2000000);
});

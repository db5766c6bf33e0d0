import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AT_FDCWD, S_IFCHR } from '../sys/constants.ts';
import { makeFifo } from '../sys/fifo.ts';
import { mknodAt } from '../sys/files.ts';
import { makeWorkingDir, openRootfs, readAccountFiles } from './rootfs.ts';

interface Tree extends Disposable {
  readonly path: string;
  readonly outside: string;
}

function tree(): Tree {
  const base = mkdtempSync(join(tmpdir(), 'berth-rootfs-'));
  const path = join(base, 'rootfs');
  const outside = join(base, 'outside');
  mkdirSync(join(path, 'etc'), { recursive: true });
  mkdirSync(outside);
  return { path, outside, [Symbol.dispose]: () => rmSync(base, { recursive: true, force: true }) };
}

test('account files are read through links inside the root, absent ones are absent', () => {
  using at = tree();
  mkdirSync(join(at.path, 'nix'));
  writeFileSync(join(at.path, 'nix/passwd'), 'inside');
  symlinkSync('/nix/passwd', join(at.path, 'etc/passwd'));
  using root = openRootfs(at.path);
  const { passwd, group } = readAccountFiles(root);
  assert.equal(Buffer.from(passwd ?? []).toString(), 'inside');
  assert.equal(group, undefined);
});

const oddFiles: [what: string, make: (path: string) => void][] = [
  ['a FIFO', (path) => makeFifo(path)],
  ['a zero device', (path) => mknodAt(AT_FDCWD, path, S_IFCHR | 0o666, 1, 5)],
  ['a directory', (path) => mkdirSync(path)],
  ['a loop of links', (path) => symlinkSync('passwd', path)],
  [
    'a sparse file of 10 GiB',
    (path) => {
      writeFileSync(path, '');
      truncateSync(path, 10 * 2 ** 30);
    },
  ],
];
for (const [what, make] of oddFiles)
  test(`CVE-2026-47262: ${what} as /etc/passwd is refused without blocking`, () => {
    using at = tree();
    make(join(at.path, 'etc/passwd'));
    using root = openRootfs(at.path);
    assert.throws(() => readAccountFiles(root), { kind: 'invalid_argument' });
  });

test('CVE-2024-9676: a link to a file of the host is looked for inside', () => {
  using at = tree();
  symlinkSync('/../../../../../../etc/hostname', join(at.path, 'etc/passwd'));
  using root = openRootfs(at.path);
  assert.equal(readAccountFiles(root).passwd, undefined);
});

test('CVE-2026-55686: a working directory is made inside the root, whatever links say', () => {
  using at = tree();
  symlinkSync(at.outside, join(at.path, 'absolute'));
  symlinkSync('../../outside', join(at.path, 'relative'));
  symlinkSync('/proc/self/fd/3', join(at.path, 'magic'));
  mkdirSync(join(at.path, 'real'));
  symlinkSync('/real', join(at.path, 'inside'));
  using root = openRootfs(at.path);
  for (const path of ['/absolute/x', '/relative/x', '/magic/x', '/a/../../outside/x'])
    try {
      makeWorkingDir(root, path);
    } catch (error) {
      assert.equal((error as { kind?: string }).kind, 'invalid_argument');
    }
  assert.ok(!existsSync(join(at.outside, 'x')));
  makeWorkingDir(root, '/inside/x/y');
  assert.ok(statSync(join(at.path, 'real/x/y')).isDirectory());
  makeWorkingDir(root, '/inside/x/y');
});

import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { codeOf, kindOf } from '../errors/error.ts';
import { ensureDirBeneath, ensureDirInRoot, openBeneath, openInRoot } from './beneath.ts';
import { AT_FDCWD, O_CREAT, O_DIRECTORY, O_EXCL, O_PATH, O_RDWR, S_IFIFO } from './constants.ts';
import type { Fd } from './fd.ts';
import { chmodAt, chownAt, mknodAt, openAt } from './files.ts';
import { readFileInRoot } from './read-file.ts';
import { removeTree } from './remove-tree.ts';

/** A directory with `root/` (opened) and, beside it, a host that must stay as it is. */
function playground() {
  const base = mkdtempSync(join(tmpdir(), 'berth-beneath-'));
  const path = join(base, 'root');
  mkdirSync(join(base, 'host/sub'), { recursive: true });
  writeFileSync(join(base, 'host/sentinel'), 'secret', { mode: 0o600 });
  mkdirSync(join(path, 'etc'), { recursive: true });
  writeFileSync(join(path, 'etc/passwd'), 'root:x:0:0\n');
  const root: Fd = openAt(AT_FDCWD, path, O_PATH | O_DIRECTORY);
  return {
    base,
    path,
    root,
    link: (target: string, name: string) => symlinkSync(target, join(path, name)),
    assertHostUnchanged() {
      assert.deepEqual(readdirSync(join(base, 'host')).sort(), ['sentinel', 'sub']);
      assert.deepEqual(readdirSync(join(base, 'host/sub')), []);
      assert.equal(readFileSync(join(base, 'host/sentinel'), 'utf8'), 'secret');
      const stat = statSync(join(base, 'host/sentinel'));
      assert.deepEqual([stat.mode & 0o7777, stat.uid, stat.nlink], [0o600, process.getuid?.() ?? 0, 1]);
    },
    [Symbol.dispose]() {
      root.close();
      rmSync(base, { recursive: true, force: true });
    },
  };
}
const hasCode =
  (...codes: string[]) =>
  (error: unknown) =>
    codes.includes(codeOf(error) ?? '');
const where = (fd: Fd) => readlinkSync(fd.procPath);

test('beneath: paths that climb out or cross a symlink are refused', () => {
  using p = playground();
  p.link(`${p.base}/host`, 'abs');
  p.link('../host', 'rel');
  p.link('etc', 'inner');
  p.link('loop', 'loop');
  const refused = [
    '..',
    '../host/sentinel',
    '/etc/passwd',
    'etc/../../host',
    'abs',
    'abs/sentinel',
    'rel/sentinel',
    'inner/passwd',
    'loop',
    'loop/x',
  ];
  for (const path of refused)
    assert.throws(() => openBeneath(p.root, path, O_PATH), hasCode('EXDEV', 'ELOOP'), path);
  for (const path of ['etc/passwd', 'etc/../etc/passwd', './etc//passwd', '', '.'])
    openBeneath(p.root, path, O_PATH).close();
});

test('in root: absolute links, .. and chains of links stay inside', () => {
  using p = playground();
  p.link('/etc/passwd', 'abs');
  p.link('../../../../etc/passwd', 'climb');
  p.link('abs', 'chain');
  p.link('/', 'top');
  for (const path of ['abs', 'climb', 'chain', '/etc/passwd', '../../etc/passwd', 'top/top/etc/passwd']) {
    using file = openInRoot(p.root, path, O_PATH);
    assert.equal(where(file), join(p.path, 'etc/passwd'), path);
  }
  p.link(`${p.base}/host/sentinel`, 'out');
  assert.throws(() => openInRoot(p.root, 'out', O_PATH), hasCode('ENOENT'));
});

test('CVE-2026-55686: magic links of a /proc inside the root are refused', () => {
  using proc = openAt(AT_FDCWD, '/proc', O_PATH | O_DIRECTORY);
  for (const path of ['self/cwd', 'self/root/etc', `self/fd/${proc.fd}`])
    assert.throws(() => openInRoot(proc, path, O_PATH), hasCode('ELOOP'), path);
  using ok = openInRoot(proc, 'self/status', O_PATH);
  assert.ok(ok.fd);
});

test('a new file is only made at a name that is free', () => {
  using p = playground();
  p.link(`${p.base}/host/new`, 'etc/new');
  assert.throws(
    () => openBeneath(p.root, 'etc/new', O_CREAT | O_RDWR | O_EXCL, 0o600),
    hasCode('EEXIST', 'ELOOP'),
  );
  openBeneath(p.root, 'etc/other', O_CREAT | O_RDWR | O_EXCL, 0o640).close();
  assert.equal(statSync(join(p.path, 'etc/other')).mode & 0o777, 0o640);
  p.assertHostUnchanged();
});

test('ensureDir makes what is missing, keeps what is there and is idempotent', () => {
  using p = playground();
  for (const ensure of [ensureDirBeneath, ensureDirInRoot])
    for (const path of ['etc/a/b', 'etc/a/b', 'x//./y/', Buffer.from('bytes/\xff\xfe/z', 'latin1'), '']) {
      using dir = ensure(p.root, path);
      assert.ok(statSync(dir.procPath).isDirectory());
    }
  assert.deepEqual(readdirSync(join(p.path, 'bytes'), 'buffer'), [Buffer.from([0xff, 0xfe])]);
  assert.throws(() => ensureDirBeneath(p.root, 'etc/passwd/x'), hasCode('ENOTDIR'));
});

test('CVE-2026-55686: ensureDir through links of an image stays inside or fails', () => {
  using p = playground();
  p.link('../../host', 'rel');
  p.link(p.base, 'abs');
  p.link('loop', 'loop');
  p.link('/etc', 'inner');
  for (const path of ['rel/made', 'abs/host/made', 'loop/made'])
    assert.throws(() => ensureDirInRoot(p.root, path), hasCode('ENOENT', 'ELOOP'), path);
  for (const path of ['rel/made', 'abs/host/made', 'loop/made', '../host/made', 'inner/made'])
    assert.throws(() => ensureDirBeneath(p.root, path), hasCode('ELOOP', 'EXDEV'), path);
  const made: string[] = [];
  using dir = ensureDirInRoot(p.root, 'inner/../inner/work/dir', 0o755, (fd) => made.push(where(fd)));
  assert.equal(where(dir), join(p.path, 'etc/work/dir'));
  assert.deepEqual(made, [join(p.path, 'etc/work'), join(p.path, 'etc/work/dir')]);
  ensureDirInRoot(p.root, '../../../tmp').close();
  assert.ok(statSync(join(p.path, 'tmp')).isDirectory());
  p.assertHostUnchanged();
});

test('CVE-2024-9676: reading a file of an image is bounded and never blocks on a FIFO, device or link out', () => {
  using p = playground();
  mknodAt(p.root, 'fifo', S_IFIFO | 0o666);
  p.link('/fifo', 'to-fifo');
  p.link(`${p.base}/host/sentinel`, 'out');
  p.link('/etc/passwd', 'passwd');
  for (const path of ['fifo', 'to-fifo', 'etc'])
    assert.throws(
      () => readFileInRoot(p.root, path, 100),
      (e) => kindOf(e) === 'failed_precondition',
      path,
    );
  assert.throws(() => readFileInRoot(p.root, 'out', 100), hasCode('ENOENT'));
  assert.throws(
    () => readFileInRoot(p.root, 'passwd', 10),
    (e) => kindOf(e) === 'resource_exhausted',
  );
  assert.equal(readFileInRoot(p.root, 'passwd', 11).toString(), 'root:x:0:0\n');
  assert.equal(readFileInRoot(p.path, '/etc/passwd', 11).toString(), 'root:x:0:0\n');
});

test('CVE-2025-47290: a directory and a symlink swapped in a race never lead out', async () => {
  using p = playground();
  mkdirSync(join(p.path, 'swap/sub'), { recursive: true });
  p.link('../host', 'other');
  const racer = new Worker(new URL('../../test/sys/swap-racer-worker.ts', import.meta.url), {
    workerData: { dir: p.path, a: 'swap', b: 'other' },
  });
  await new Promise((resolve) => racer.once('message', resolve));
  const seen = { made: 0, refused: 0 };
  // On a busy machine the racer may sleep for thousands of turns: on until both ends of the race were seen.
  for (let i = 0; i < 1500 || ((seen.made === 0 || seen.refused === 0) && i < 300_000); i++) {
    for (const ensure of [ensureDirBeneath, ensureDirInRoot]) {
      try {
        using dir = ensure(p.root, 'swap/sub');
        using file = openAt(dir, `f${i % 10}`, O_CREAT | O_RDWR, 0o600);
        chownAt(dir, `f${i % 10}`, 0, 0);
        chmodAt(dir, `f${i % 10}`, 0o644);
        assert.ok(file.fd);
        seen.made++;
      } catch (error) {
        assert.ok(hasCode('ELOOP', 'EXDEV', 'ENOENT', 'EAGAIN')(error), String(error));
        seen.refused++;
      }
    }
  }
  await racer.terminate();
  assert.ok(seen.made > 0 && seen.refused > 0, JSON.stringify(seen));
  p.assertHostUnchanged();
});

test('GHSA-4v98-7qmw-rqr8: removing a tree while a racer swaps in a symlink leaves the host alone', async () => {
  using p = playground();
  const racer = new Worker(new URL('../../test/sys/swap-racer-worker.ts', import.meta.url), {
    workerData: { dir: p.path, a: 'tree/swap', b: 'tree/other' },
  });
  await new Promise((resolve) => racer.once('message', resolve));
  for (let i = 0; i < 100; i++) {
    mkdirSync(join(p.path, 'tree/swap/sub/sentinel'), { recursive: true });
    symlinkSync('../../host', join(p.path, 'tree/other'));
    await removeTree(join(p.path, 'tree'));
  }
  await racer.terminate();
  assert.throws(() => statSync(join(p.path, 'tree')), hasCode('ENOENT'));
  p.assertHostUnchanged();
});

test('a tree far deeper than a path can say is removed with few descriptors', async () => {
  using p = playground();
  let dir = openAt(AT_FDCWD, p.path, O_PATH | O_DIRECTORY);
  for (let depth = 0; depth < 600; depth++) {
    using parent = dir;
    dir = ensureDirBeneath(parent, 'a-directory-name');
  }
  dir.close();
  const before = readdirSync('/proc/self/fd').length;
  await removeTree(p.path);
  assert.ok(readdirSync('/proc/self/fd').length <= before);
  assert.deepEqual(readdirSync(p.base), ['host']);
});

test('removing what is a file, a link or absent is fine, and links are not followed', async () => {
  using p = playground();
  p.link('../host', 'link');
  p.link('../../host', 'etc/link');
  await removeTree(join(p.path, 'link'));
  await removeTree(join(p.path, 'etc'));
  await removeTree(join(p.path, 'absent'));
  ensureDirBeneath(p.root, 'tree/of/some').close();
  await removeTree(join(p.path, 'tree'));
  await removeTree(join(p.path, 'absent/deeper'));
  assert.deepEqual(readdirSync(p.path), []);
  p.assertHostUnchanged();
});

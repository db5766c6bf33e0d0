import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { codeOf, kindOf } from '../errors/error.ts';
import { type Mount, mountAll, unmount, unmountAll, unmountTree } from './mount.ts';
import { parseMountOptions } from './mount-options.ts';
import { listMounts, parseMountinfo } from './mountinfo.ts';
import { removeTree } from './remove-tree.ts';
import { mountTemporarily, withTempMount } from './temp-mount.ts';

const asRoot = { skip: process.getuid?.() !== 0 };

function scratch() {
  const path = mkdtempSync(join(tmpdir(), 'berth-mount-test-'));
  const dir = (name: string) => {
    mkdirSync(join(path, name), { recursive: true });
    return join(path, name);
  };
  return {
    path,
    dir,
    async [Symbol.asyncDispose]() {
      await unmountTree(path, { detach: true });
      rmSync(path, { recursive: true, force: true });
    },
  };
}
const bind = (source: string, ...options: string[]): Mount => ({
  type: 'bind',
  source,
  options: ['rbind', ...options],
});
const tmpfs: Mount = { type: 'tmpfs', source: 'tmpfs', options: ['size=1m', 'nosuid', 'mode=0755'] };

/** The topmost mount at exactly `path`. */
const findMount = (path: string) => listMounts().findLast((mount) => mount.mountPoint === path);

test('option words become flags, propagation and data; the last word wins', () => {
  const parsed = parseMountOptions([
    'ro',
    'rbind',
    'rslave',
    'nosuid',
    'suid',
    'rw',
    'lowerdir=/a:/b',
    'volatile',
  ]);
  assert.deepEqual(parsed, {
    flags: 0x5000,
    cleared: 3,
    propagation: [0x84000],
    loop: false,
    data: ['lowerdir=/a:/b', 'volatile'],
  });
  assert.throws(
    () => parseMountOptions(['uidmap=0:1:2']),
    (e) => kindOf(e) === 'not_implemented',
  );
});

test('mountinfo is read with its escapes, and broken lines are left out', () => {
  const line = String.raw`36 35 98:0 /m\040nt1 /mnt\0402\134x rw,noatime master:1 shared:3 - ext3 /dev/root rw,errors=continue`;
  const [mount, ...rest] = parseMountinfo(Buffer.from(`${line}\nnonsense\n1 2 - \n\n`));
  assert.deepEqual(rest, []);
  assert.deepEqual(mount, {
    id: 36,
    parentId: 35,
    major: 98,
    minor: 0,
    root: '/m nt1',
    mountPoint: '/mnt 2\\x',
    options: ['rw', 'noatime'],
    optional: ['master:1', 'shared:3'],
    type: 'ext3',
    source: '/dev/root',
    superOptions: ['rw', 'errors=continue'],
  });
});

test('a tmpfs and a read-only bind of it are mounted, found and unmounted', asRoot, async () => {
  await using s = scratch();
  const [from, to] = [s.dir('from with space'), s.dir('to')];
  await mountAll([tmpfs], from);
  writeFileSync(join(from, 'file'), 'x');
  await mountAll([bind(from, 'ro', 'rprivate')], to);
  assert.equal(readFileSync(join(to, 'file'), 'utf8'), 'x');
  assert.throws(
    () => writeFileSync(join(to, 'file'), 'y'),
    (e) => codeOf(e) === 'EROFS',
  );
  const found = findMount(to);
  // The source's nosuid must survive the remount that makes the bind read-only.
  assert.ok(found?.options.includes('ro') && found.options.includes('nosuid'), String(found?.options));
  writeFileSync(join(from, 'file'), 'z');
  assert.equal(await unmountAll(to), 1);
  assert.equal(await unmountAll(to), 0);
  assert.equal(await unmount(join(s.path, 'absent')), false);
  assert.equal(findMount(to), undefined);
  assert.equal(findMount(from)?.type, 'tmpfs');
});

test('a list that fails half way leaves nothing mounted and says which mount failed', asRoot, async () => {
  await using s = scratch();
  const target = s.dir('target');
  const bad: Mount = { type: 'nonsense', source: 'x', options: [] };
  await assert.rejects(mountAll([tmpfs, tmpfs, bad], target), /mount nonsense x on .*ENODEV/);
  assert.equal(findMount(target), undefined);
  const inner = s.dir('target/inner');
  await assert.rejects(mountAll([{ ...tmpfs, target: 'inner' }, bad], target));
  assert.equal(findMount(inner), undefined);
});

test('a mount below the target is resolved inside it', asRoot, async () => {
  await using s = scratch();
  const [target, host] = [s.dir('target'), s.dir('host')];
  mkdirSync(join(target, 'data'));
  symlinkSync('/data', join(target, 'abs'));
  symlinkSync('../host', join(target, 'out'));
  await mountAll([{ ...tmpfs, target: 'abs' }], target);
  assert.equal(findMount(join(target, 'data'))?.type, 'tmpfs');
  await assert.rejects(mountAll([{ ...tmpfs, target: 'out' }], target), /ENOENT/);
  assert.equal(findMount(host), undefined);
});

test('CVE-2026-41568: a target that is a symlink is refused, not followed', asRoot, async () => {
  await using s = scratch();
  const host = s.dir('host');
  symlinkSync(host, join(s.path, 'link'));
  await mountAll([tmpfs], join(s.path, 'link')).catch(() => {});
  assert.equal(findMount(host), undefined);
});

test('overlays of few and of 300 layers show the right file', asRoot, async () => {
  await using s = scratch();
  const base = s.dir('x'.repeat(40));
  for (const count of [2, 300]) {
    const lower = Array.from({ length: count }, (_, i) => {
      const dir = s.dir(`${'x'.repeat(40)}/${count}-${i}`);
      writeFileSync(join(dir, `file-${i}`), '');
      writeFileSync(join(dir, 'same'), `from ${i}`);
      return dir;
    });
    const options = [
      `upperdir=${s.dir(`u${count}`)}`,
      `workdir=${s.dir(`w${count}`)}`,
      `lowerdir=${lower.join(':')}`,
    ];
    await withTempMount([{ type: 'overlay', source: 'overlay', options }], async (path) => {
      assert.equal(readdirSync(path).length, count + 1);
      assert.equal(readFileSync(join(path, 'same'), 'utf8'), 'from 0');
      writeFileSync(join(path, 'new'), '');
    });
    assert.ok(existsSync(join(s.path, `u${count}`, 'new')));
  }
  assert.ok(base);
});

test('a temporary mount is gone after use, even while a file in it is open', asRoot, async () => {
  let path: string;
  {
    await using mounted = await mountTemporarily([tmpfs]);
    path = mounted.path;
    process.chdir(path);
  }
  process.chdir('/');
  assert.equal(existsSync(path), false);
});

test('GHSA-32pv-7hq5-qhwq: a tree with a mount in it is not removed across the mount', asRoot, async () => {
  await using s = scratch();
  const inner = s.dir('tree/a/mnt');
  const bound = s.dir('tree/b/dir');
  const host = s.dir('host');
  writeFileSync(join(host, 'sentinel'), 'x');
  await mountAll([tmpfs], inner);
  await mountAll([bind(host)], bound);
  writeFileSync(join(inner, 'kept'), 'x');
  for (const path of ['tree', 'tree/a/mnt', 'tree/b/dir'])
    await assert.rejects(removeTree(join(s.path, path)), (e) => kindOf(e) === 'failed_precondition', path);
  assert.deepEqual([readdirSync(host), readdirSync(inner)], [['sentinel'], ['kept']]);
  assert.equal(await unmountTree(join(s.path, 'tree')), 2);
  await removeTree(join(s.path, 'tree'));
  rmdirSync(s.dir('tree'));
});

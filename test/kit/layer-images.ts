import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { dir, file, hardlink, symlink, tar } from './tar-builder.ts';

/** Layers of images as plain tar files, base first, made from real programs or by hand. */

const cache = process.env.BERTH_TEST_CACHE ?? '/var/cache/berth-test';

/** Packs a directory as one layer, with everything GNU tar can keep. */
export function packLayer(root: string, to: string): string {
  const how = [
    '--format=pax',
    '--xattrs',
    '--xattrs-include=*',
    '--numeric-owner',
    '--sort=name',
    '--sparse',
  ];
  execFileSync('tar', [...how, '-C', root, '-cf', to, '.'], { stdio: ['ignore', 'ignore', 'inherit'] });
  return to;
}

/** busybox with its applets as hard links and symbolic links. */
export function busyboxLayers(scratch: string): string[] {
  const root = mkdtempSync(join(scratch, 'busybox-'));
  mkdirSync(join(root, 'bin'));
  cpSync('/bin/busybox', join(root, 'bin/busybox'));
  const applets = execFileSync('/bin/busybox', ['--list'], { encoding: 'utf8' }).trim().split('\n');
  for (const [i, name] of applets.entries()) {
    const place = join(root, 'bin', name);
    if (existsSync(place)) continue;
    if (i % 2 === 0) linkSync(join(root, 'bin/busybox'), place);
    else symlinkSync('busybox', place);
  }
  return [packLayer(root, join(scratch, 'busybox.tar'))];
}

/** Debian bookworm's base by debootstrap, made once and kept in the cache. */
export function debianLayers(): string[] {
  const kept = join(cache, 'debian-base.tar');
  if (existsSync(kept)) return [kept];
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(dirname(kept), 'debian-'));
  try {
    const root = join(work, 'root');
    execFileSync('debootstrap', ['--variant=minbase', 'bookworm', root], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    renameSync(packLayer(root, join(work, 'base.tar')), kept);
  } finally {
    rmSync(work, { recursive: true });
  }
  return [kept];
}

const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');

/** Three layers of everything that goes wrong: whiteouts, opaque, links, devices, xattrs, odd names, times, owners. */
export function craftedLayers(scratch: string): string[] {
  const base = tar(
    dir('./'),
    dir('etc/', { mode: 0o750, gid: 12, mtime: 1_600_000_000 }),
    file('etc/conf', 'one', { pax: { mtime: '1600000000.123456789' } }),
    file('etc/gone', 'x'),
    dir('full/', { mtime: 1_600_000_001 }),
    file('full/a', 'a'),
    dir('full/sub/'),
    file('full/sub/b', 'b'),
    dir('dev/'),
    { name: 'dev/null', flag: '3', major: 1, minor: 3, mode: 0o666 },
    { name: 'dev/loop', flag: '4', major: 7, minor: 300, mode: 0o660, gid: 6 },
    { name: 'dev/pipe', flag: '6', mode: 0o600, uid: 33 },
    dir('bin/', { mode: 0o2755, gid: 50 }),
    file('bin/su', 'suid', { mode: 0o4755, uid: 1, gid: 2 }),
    file('bin/ping', 'caps', { mode: 0o755, pax: { 'SCHILY.xattr.security.capability': capability } }),
    file('bin/user', 'attr', {
      pax: { 'SCHILY.xattr.user.note': Buffer.from([0, 10, 255]), 'SCHILY.xattr.user.empty': 'e' },
    }),
    hardlink('bin/ping4', 'bin/ping'),
    hardlink('bin/ping6', './bin/ping4'),
    symlink('lib', 'usr/lib', { uid: 9, mtime: 1_111_111_111 }),
    dir('usr/'),
    dir('usr/lib/'),
    file(`usr/lib/${'n'.repeat(90)}`, 'long'),
    file('x', 'longer', { pax: { path: `usr/lib/${'d'.repeat(200)}` } }),
    file('x', 'bytes', { pax: { path: Buffer.from([0x75, 0x73, 0x72, 0x2f, 0xe9, 0xff, 0x01]) } }),
    file('old', '', { mtime: 1 }),
    file('huge-owner', '', { uid: 4_000_000_000, gid: 3_000_000_000 }),
    dir('tmp/', { mode: 0o1777 }),
    dir('replaced/'),
    file('replaced/f', 'f'),
    file('becomes-dir', 'f'),
  );
  const middle = tar(
    dir('etc/', { mode: 0o755, mtime: 1_600_000_100 }),
    file('etc/.wh.gone'),
    file('etc/conf', 'two'),
    dir('full/', { mtime: 1_600_000_101 }),
    file('full/.wh..wh..opq'),
    file('full/new', 'new'),
    file('replaced', 'a file now'),
    dir('becomes-dir/', { mode: 0o700 }),
    file('becomes-dir/x', 'x'),
    file('.wh.old'),
    file('zeros', Buffer.alloc(100_000)),
  );
  const top = tar(
    dir('etc/', { mtime: 1_600_000_200 }),
    file('etc/gone', 'back'),
    file('.wh.tmp'),
    symlink('tmp', '/var/tmp'),
    file('full', 'a file again', { mode: 0o400 }),
    dir('deep/'),
    file('deep/one', 'linked'),
    // After the file: GNU tar dates a directory when it leaves it, and would not again after the link.
    dir('deep/er/', { mtime: 1_600_000_201 }),
    hardlink('deep/er/two', 'deep/one'),
  );
  return [base, middle, top].map((bytes, i) => write(join(scratch, `crafted-${i}.tar`), bytes));
}

/** A hundred layers, each adding, changing and deleting something of the ones before. */
export function manyLayers(scratch: string): string[] {
  return Array.from({ length: 100 }, (_, i) => {
    const at = { mtime: 1_600_000_000 + i };
    const members = [
      dir('d/', at),
      file(`d/f${i}`, `${i}`, at),
      file('changed', `${i}`, at),
      dir(`own${i % 10}/`, at),
    ];
    if (i >= 3) members.push(file(`d/.wh.f${i - 3}`));
    return write(join(scratch, `many-${i}.tar`), tar(...members));
  });
}

function write(path: string, bytes: Buffer): string {
  writeFileSync(path, bytes);
  return path;
}

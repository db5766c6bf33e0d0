import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { type ErrorKind, isKind } from '../../src/errors/error.ts';
import { applyLayer } from '../../src/layers/apply.ts';
import { forRebase } from '../../src/layers/target.ts';
import { finishLayer } from '../../src/layers/unfinished.ts';
import { statAt } from '../../src/sys/stat.ts';
import { withTempMount } from '../../src/sys/temp-mount.ts';
import { getXattr, listXattrs, setXattr } from '../../src/sys/xattr.ts';
import { layerMount } from '../kit/layer-files.ts';
import { dir, file, hardlink, paxHeader, symlink, tar } from '../kit/tar-builder.ts';
import { applyTar, makeSandbox, type Sandbox, upperMount } from './sandbox.ts';

const gzipType = 'application/vnd.oci.image.layer.v1.tar+gzip';
const zstdType = 'application/vnd.oci.image.layer.v1.tar+zstd';
const rejects = (promise: Promise<unknown>, kind: ErrorKind) =>
  assert.rejects(promise, (error) => {
    assert.ok(isKind(error, kind), String(error));
    return true;
  });

const opaqueOf = (path: string) => getXattr(path, 'trusted.overlay.opaque')?.toString();
const isWhiteout = (path: string) => {
  const stat = lstatSync(path);
  return stat.isCharacterDevice() && stat.rdev === 0;
};

test('a layer may be plain, gzip or zstd, and its diff ID is that of all uncompressed bytes', async () => {
  const archive = Buffer.concat([tar(dir('d'), file('d/f', 'data')), Buffer.alloc(8192, 7)]);
  const diffId = `sha256:${createHash('sha256').update(archive).digest('hex')}`;
  const forms = [
    ['application/vnd.oci.image.layer.v1.tar', archive],
    [gzipType, gzipSync(archive)],
    [
      gzipType,
      Buffer.concat([gzipSync(archive.subarray(0, 700)), gzipSync(archive.subarray(700)), Buffer.alloc(99)]),
    ],
    [zstdType, zstdCompressSync(archive)],
    ['application/vnd.docker.image.rootfs.diff.tar.gzip', gzipSync(archive)],
    ['application/vnd.docker.image.rootfs.diff.tar', gzipSync(archive)],
  ] as const;
  for (const [mediaType, bytes] of forms) {
    using sandbox = makeSandbox();
    const path = join(sandbox.path, 'blob');
    writeFileSync(path, bytes);
    const applied = await applyLayer({ source: { path }, mediaType, to: { directory: sandbox.target } });
    assert.deepEqual([applied.diffId, applied.sizeBytes, applied.inodes], [diffId, archive.length, 2]);
    assert.equal(readFileSync(join(sandbox.target, 'd/f'), 'utf8'), 'data');
  }
});

describe('refuses', () => {
  const good = tar(file('f', 'x'.repeat(10_000)));
  const gzip = gzipSync(good);
  const cases: Record<string, [ErrorKind, string, Buffer]> = {
    'a truncated gzip': ['invalid_argument', gzipType, gzip.subarray(0, gzip.length - 10)],
    'a gzip with one changed byte': ['invalid_argument', gzipType, Buffer.from(gzip).fill(0xff, 20, 21)],
    'garbage after a gzip': ['invalid_argument', gzipType, Buffer.concat([gzip, Buffer.from('garbage!')])],
    'a truncated zstd': ['invalid_argument', zstdType, zstdCompressSync(good).subarray(0, 30)],
    'a plain tar called gzip': ['invalid_argument', gzipType, good],
    'a gzip called zstd': ['invalid_argument', zstdType, gzip],
    'an empty gzip blob': ['invalid_argument', gzipType, Buffer.alloc(0)],
    xz: [
      'invalid_argument',
      'application/vnd.oci.image.layer.v1.tar',
      Buffer.from('\xfd7zXZ\0\0\0', 'latin1'),
    ],
    'a media type that is no layer': ['invalid_argument', 'application/vnd.oci.image.config.v1+json', good],
    'a media type called after a property of Object': ['invalid_argument', 'constructor', good],
    'a tar cut in the middle': ['invalid_argument', gzipType, gzipSync(good.subarray(0, 5000))],
  };
  for (const [what, [kind, mediaType, bytes]] of Object.entries(cases))
    test(what, async () => {
      using sandbox = makeSandbox();
      await rejects(applyTar(bytes, { directory: sandbox.target }, { mediaType }), kind);
    });

  test('a bomb at its budget, without writing it to the end', async () => {
    using sandbox = makeSandbox();
    const bomb = gzipSync(Buffer.concat([tar(file('zeros', Buffer.alloc(64 << 20)))]), { level: 9 });
    const to = { directory: sandbox.target };
    const absolute = { limits: { uncompressedBytes: 16 << 20 }, mediaType: gzipType };
    await rejects(applyTar(bomb, to, absolute), 'resource_exhausted');
    assert.ok(statSync(join(sandbox.target, 'zeros')).size <= 17 << 20);
    const ratio = { limits: { ratioFreeBytes: 8 << 20, ratio: 100 }, mediaType: gzipType };
    await rejects(applyTar(bomb, to, ratio), 'resource_exhausted');
    const entries = tar(...Array.from({ length: 20 }, (_, i) => file(`f${i}`)));
    await rejects(applyTar(entries, to, { limits: { entries: 10 } }), 'resource_exhausted');
    await applyTar(bomb, to, { limits: { uncompressedBytes: 80 << 20 }, mediaType: gzipType });
  });

  test('read-only mounts', async () => {
    using sandbox = makeSandbox();
    const bind = [{ type: 'bind', source: sandbox.target, options: ['ro', 'rbind'] }];
    await rejects(applyTar(good, bind), 'failed_precondition');
    const lower = [{ type: 'overlay', source: 'overlay', options: [`lowerdir=${sandbox.target}:/b`] }];
    await rejects(applyTar(good, lower), 'failed_precondition');
    await rejects(applyTar(good, []), 'invalid_argument');
  });
});

test('owners, modes, times, xattrs and kinds of files are what the layer says', async () => {
  using sandbox = makeSandbox();
  const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
  await applyTar(
    tar(
      dir('setgid', { mode: 0o2775, uid: 3, gid: 4, mtime: 1_500_000_000 }),
      file('setgid/inherits-no-group', '', { mode: 0o664 }),
      file('setuid', 'x', { mode: 0o6755, uid: 4294967294, gid: 70000 }),
      file('caps', 'x', {
        uid: 1,
        pax: { 'SCHILY.xattr.security.capability': capability, mtime: '12.000000345' },
      }),
      symlink('link', 'nowhere', { uid: 5, gid: 6, pax: { mtime: '-3.5' } }),
      { name: 'null', flag: '3', major: 1, minor: 3, mode: 0o666 },
      { name: 'block', flag: '4', major: 259, minor: 70000, mode: 0o660, gid: 6 },
      { name: 'fifo', flag: '6', mode: 0o622 },
      file('far', '', { pax: { mtime: '253402300800' } }),
      file('world', '', { mode: 0o777 }),
      file('none', '', { mode: 0 }),
    ),
    { directory: sandbox.target },
  );
  const at = (name: string) => statAt(-100, join(sandbox.target, name));
  const facts = (name: string) => [(at(name).mode & 0o7777).toString(8), at(name).uid, at(name).gid];
  assert.deepEqual(facts('setgid'), ['2775', 3, 4]);
  assert.equal(at('setgid').mtimeNs, 1_500_000_000_000_000_000n);
  assert.deepEqual(facts('setgid/inherits-no-group'), ['664', 0, 0]);
  assert.deepEqual(facts('setuid'), ['6755', 4294967294, 70000]);
  assert.deepEqual(getXattr(join(sandbox.target, 'caps'), 'security.capability'), capability);
  assert.equal(at('caps').mtimeNs, 12_000_000_345n);
  assert.deepEqual([at('link').uid, at('link').gid, at('link').mtimeNs], [5, 6, -3_500_000_000n]);
  assert.deepEqual([at('null').rdev, facts('null')[0]], [{ major: 1, minor: 3 }, '666']);
  assert.deepEqual(at('block').rdev, { major: 259, minor: 70000 });
  assert.deepEqual(facts('fifo'), ['622', 0, 0]);
  assert.deepEqual([facts('world')[0], facts('none')[0]], ['777', '0']);
});

test('security.md §1.7, xattrs: no layer sets attributes that overlayfs or the kernel trust', async () => {
  using sandbox = makeSandbox();
  const hostile = [
    'trusted.overlay.opaque',
    'trusted.overlay.redirect',
    'trusted.overlay.metacopy',
    'trusted.x',
    'user.overlay.opaque',
  ];
  const pax = Object.fromEntries([...hostile, 'user.kept'].map((name) => [`SCHILY.xattr.${name}`, 'y']));
  await applyTar(tar(dir('d', { pax }), file('f', '', { pax })), upperMount(sandbox.target));
  const layerFile = join(sandbox.path, 'layer');
  await applyTar(tar(dir('d', { pax }), file('f', '', { pax })), { layerFile });
  await withTempMount(layerMount(layerFile), async (mounted) => {
    for (const root of [sandbox.target, mounted])
      for (const name of ['d', 'f'])
        assert.deepEqual(listXattrs(join(root, name)).map(String), ['user.kept']);
  });
});

test('holes stay holes', async () => {
  using sandbox = makeSandbox();
  const pax = { 'GNU.sparse.size': `${2 ** 40}`, 'GNU.sparse.numblocks': '1', 'GNU.sparse.map': '1048576,3' };
  await applyTar(tar(file('sparse', 'abc', { pax })), { directory: sandbox.target });
  const { size, blocks } = statSync(join(sandbox.target, 'sparse'));
  assert.equal(size, 2 ** 40);
  assert.ok(blocks < 1000);
});

describe('in an upperdir', () => {
  test('whiteouts are devices, opaque is an attribute', async () => {
    using sandbox = makeSandbox();
    const members = [file('.wh.gone'), dir('d'), file('d/.wh..wh..opq'), file('d/own', 'x'), file('e/.wh.f')];
    const again = [file('.wh.again'), dir('again'), file('own2/x'), file('.wh.own2')];
    await applyTar(tar(...members, ...again), upperMount(sandbox.target));
    const at = (name: string) => join(sandbox.target, name);
    assert.ok(isWhiteout(at('gone')) && isWhiteout(at('e/f')));
    assert.deepEqual([opaqueOf(at('d')), opaqueOf(at('again')), opaqueOf(at('own2'))], ['y', 'y', 'y']);
    assert.equal(opaqueOf(at('e')), undefined);
    assert.deepEqual(readdirSync(at('d')), ['own']);
  });

  test('what a layer leaves to lower ones is inherited and linked, at once or later', async () => {
    for (const later of [false, true]) {
      using sandbox = makeSandbox();
      const [lower, upper, work] = ['lower', 'target', 'work'].map((name) => join(sandbox.path, name)) as [
        string,
        string,
        string,
      ];
      mkdirSync(lower);
      mkdirSync(work);
      await applyTar(
        tar(
          dir('tmp', { mode: 0o1777, uid: 8 }),
          dir('bin', { mode: 0o711 }),
          file('bin/tool', 'tool', { mode: 0o4755, uid: 9 }),
        ),
        { directory: lower },
      );
      setXattr(join(lower, 'tmp'), 'user.kept', Buffer.from('1'));
      const mounts = [
        {
          type: 'overlay',
          source: 'overlay',
          options: [`upperdir=${upper}`, `workdir=${work}`, `lowerdir=${lower}`],
        },
      ];
      const bind = forRebase([{ type: 'bind', source: upper, options: ['rw', 'rbind'] }]);
      const layer = tar(
        file('tmp/x', 'in'),
        hardlink('tmp/second', 'bin/tool'),
        hardlink('third', 'tmp/second'),
      );
      const { unfinished } = await applyTar(layer, later ? bind : mounts);
      assert.equal(unfinished !== undefined, later);
      if (unfinished) await finishLayer(upper, [lower], unfinished);
      assert.deepEqual(
        [statSync(join(upper, 'tmp')).mode & 0o7777, statSync(join(upper, 'tmp')).uid],
        [0o1777, 8],
      );
      assert.equal(getXattr(join(upper, 'tmp'), 'user.kept')?.toString(), '1');
      await withTempMount(mounts, async (root) => {
        const [tool, second, third] = ['bin/tool', 'tmp/second', 'third'].map((name) =>
          statSync(join(root, name)),
        );
        assert.deepEqual([second?.ino, third?.ino, tool?.nlink], [tool?.ino, tool?.ino, 3]);
        assert.deepEqual([(tool?.mode ?? 0) & 0o7777, tool?.uid], [0o4755, 9]);
        assert.equal(statSync(join(root, 'bin')).mode & 0o777, 0o711);
      });
      assert.deepEqual(
        readdirSync(sandbox.path).filter((name) => name.startsWith('link-')),
        [],
      );
    }
  });

  test('what a nearer layer deleted is not inherited from below', async () => {
    using sandbox = makeSandbox();
    const [near, far] = ['near', 'far'].map((name) => join(sandbox.path, name)) as [string, string];
    for (const path of [near, far]) mkdirSync(path);
    await applyTar(tar(dir('d', { mode: 0o700, uid: 7 })), { directory: far });
    await applyTar(tar(file('.wh.d')), upperMount(near));
    const { unfinished } = await applyTar(tar(file('d/f')), upperMount(sandbox.target));
    assert.ok(unfinished);
    await finishLayer(sandbox.target, [near, far], unfinished);
    assert.equal(statSync(join(sandbox.target, 'd')).uid, 0);
    await finishLayer(sandbox.target, [far], unfinished);
    assert.equal(statSync(join(sandbox.target, 'd')).uid, 7);
  });

  test('a hard link to what no layer has is refused', async () => {
    using sandbox = makeSandbox();
    const { unfinished } = await applyTar(tar(hardlink('h', 'nowhere')), upperMount(sandbox.target));
    assert.ok(unfinished);
    await rejects(finishLayer(sandbox.target, [sandbox.host], unfinished), 'invalid_argument');
    await rejects(finishLayer(sandbox.target, [], unfinished), 'invalid_argument');
  });
});

test('in a directory with files whiteouts delete what is from before, and only that', async () => {
  using sandbox = makeSandbox();
  const to = { directory: sandbox.target };
  await applyTar(tar(file('a/old', '1'), file('a/sub/old', '1'), file('b', '1'), dir('c/d')), to);
  await applyTar(
    tar(file('a/new', '2'), file('a/.wh..wh..opq'), file('a/after', '2'), file('.wh.b'), file('.wh.c')),
    to,
  );
  assert.deepEqual(readdirSync(sandbox.target), ['a']);
  assert.deepEqual(readdirSync(join(sandbox.target, 'a')).sort(), ['after', 'new']);
});

test('other mounts are mounted to be written', async () => {
  using sandbox = makeSandbox();
  const image = join(sandbox.path, 'disk.ext4');
  execFileSync('mkfs.ext4', ['-q', image, '8M']);
  const device = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim();
  try {
    const mounts = [{ type: 'ext4', source: device, options: [] }];
    await applyTar(tar(file('f', 'x')), mounts, { sync: true });
    await withTempMount(mounts, async (root) => assert.equal(readFileSync(join(root, 'f'), 'utf8'), 'x'));
    const big = tar(file('big', Buffer.alloc(32 << 20, 1)));
    await rejects(applyTar(big, mounts), 'resource_exhausted');
  } finally {
    execFileSync('losetup', ['--detach', device]);
  }
});

test('100,000 opaque whiteouts cost no more than one each (CVE-2026-95838)', async () => {
  using sandbox = makeSandbox();
  const files = Array.from({ length: 3000 }, (_, i) => file(`d/f${i}`));
  const opaque = tar(file('d/.wh..wh..opq')).subarray(0, 512);
  const nested = Array.from({ length: 200 }, (_, i) =>
    file('', '', { pax: { path: `${'d/'.repeat(i + 1)}.wh..wh..opq` } }),
  );
  const many = tar(...files, ...nested, Buffer.concat(Array.from({ length: 100_000 }, () => opaque)));
  const seconds = async (archive: Buffer, to: Parameters<typeof applyTar>[1]) => {
    const start = performance.now();
    await applyTar(archive, to);
    return (performance.now() - start) / 1000;
  };
  for (const [i, kind] of ['plain', 'overlay'].entries()) {
    const directory = join(sandbox.target, `${i}`);
    mkdirSync(join(directory, 'x'), { recursive: true });
    assert.ok((await seconds(many, kind === 'plain' ? { directory } : upperMount(directory))) < 5);
    assert.equal(existsSync(join(directory, 'd/f0')), true);
  }
  assert.ok((await seconds(many, { layerFile: join(sandbox.path, 'layer') })) < 5);
});

test('cancelling stops within a second and is told as aborted', async () => {
  using sandbox = makeSandbox();
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    yield paxHeader({ size: `${2 ** 40}` });
    yield tar(file('endless')).subarray(0, 512);
    for (;;) yield Buffer.alloc(1 << 20);
  };
  const mediaType = 'application/vnd.oci.image.layer.v1.tar';
  const to = { directory: sandbox.target };
  const start = performance.now();
  const signal = AbortSignal.timeout(300);
  await rejects(applyLayer({ source: endless(), mediaType, to, signal }), 'aborted');
  assert.ok(performance.now() - start < 1300);
  const stalled = async function* (): AsyncGenerator<Uint8Array> {
    await new Promise((_, reject) => setTimeout(() => reject(new Error('never')), 5000).unref());
    yield Buffer.alloc(0);
  };
  await rejects(
    applyLayer({ source: stalled(), mediaType, to, signal: AbortSignal.timeout(200) }),
    'aborted',
  );
  await rejects(applyLayer({ source: stalled(), mediaType, to, signal: AbortSignal.abort() }), 'aborted');
  await applyTar(tar(file('after', 'works')), to);
});

test('a source that fails fails the layer with its own kind', async () => {
  using sandbox: Sandbox = makeSandbox();
  const failing = async function* (): AsyncGenerator<Uint8Array> {
    yield tar(file('f', 'x'.repeat(2000))).subarray(0, 700);
    throw Object.assign(new Error('connection reset'), { code: 'ECONNRESET' });
  };
  const mediaType = 'application/vnd.oci.image.layer.v1.tar';
  await assert.rejects(
    applyLayer({ source: failing(), mediaType, to: { directory: sandbox.target } }),
    /connection reset/,
  );
});

test('a file below a directory replaces a link, a directory or a device that is there from before', async () => {
  using sandbox = makeSandbox();
  mkdirSync(join(sandbox.target, 'd/dir'), { recursive: true });
  writeFileSync(join(sandbox.target, 'd/dir/below'), '');
  execFileSync('ln', ['-s', '/etc', join(sandbox.target, 'd/link')]);
  execFileSync('mkfifo', [join(sandbox.target, 'd/fifo')]);
  await applyTar(tar(file('d/dir', '1'), file('d/link', '2'), file('d/fifo', '3')), {
    directory: sandbox.target,
  });
  const read = (name: string) => readFileSync(join(sandbox.target, 'd', name), 'utf8');
  assert.deepEqual([read('dir'), read('link'), read('fifo')], ['1', '2', '3']);
  sandbox.assertHostUnchanged();
});

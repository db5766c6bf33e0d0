import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isKind } from '../../src/errors/error.ts';
import { verifyLayerFile } from '../../src/layers/erofs/layer-file.ts';
import { AT_FDCWD } from '../../src/sys/constants.ts';
import { readlinkAt } from '../../src/sys/files.ts';
import { statAt } from '../../src/sys/stat.ts';
import { mountTemporarily, type TempMount } from '../../src/sys/temp-mount.ts';
import { getXattr, listXattrs } from '../../src/sys/xattr.ts';
import { fsckErofs, layerMount } from '../kit/layer-files.ts';
import { busyboxLayers } from '../kit/layer-images.ts';
import { base256, dir, file, hardlink, member, symlink, type TarMember, tar } from '../kit/tar-builder.ts';
import { readTree } from '../kit/tree.ts';
import { applyTar, makeSandbox, type Sandbox } from './sandbox.ts';

/** Everything a file can be, in a layer file: written, accepted by fsck.erofs, mounted, looked at. */

async function mountLayer(sandbox: Sandbox, archive: Buffer): Promise<TempMount> {
  const layerFile = join(sandbox.target, 'layer');
  await applyTar(archive, { layerFile });
  fsckErofs(layerFile);
  await verifyLayerFile(layerFile);
  return mountTemporarily(layerMount(layerFile));
}

const stat = (root: string, name: string | Buffer) =>
  statAt(AT_FDCWD, Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name)]));

test('owners, modes, times, xattrs and kinds of files are what the layer says', async () => {
  using sandbox = makeSandbox();
  const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
  const acl = Buffer.from('0200000001000600ffffffff04000400ffffffff20000400ffffffff', 'hex');
  const long = 'v'.repeat(3000);
  const archive = tar(
    dir('setgid', { mode: 0o2775, uid: 3, gid: 4, mtime: 1_500_000_000 }),
    file('setgid/plain', '', { mode: 0o664 }),
    file('setuid', 'x', { mode: 0o6755, uid: 4_294_967_294, gid: 70_000 }),
    file('caps', 'x', {
      pax: {
        'SCHILY.xattr.security.capability': capability,
        'SCHILY.xattr.system.posix_acl_access': acl,
        'SCHILY.xattr.user.long': long,
        'SCHILY.xattr.user.empty': '',
        'SCHILY.xattr.unknown.family': 'x',
      },
    }),
    symlink('link', 'nowhere', { uid: 5, gid: 6, pax: { mtime: '-3.5', 'SCHILY.xattr.user.x': 'no' } }),
    { name: 'null', flag: '3', major: 1, minor: 3, mode: 0o666 },
    { name: 'block', flag: '4', major: 259, minor: 70_000, mode: 0o660, gid: 6 },
    { name: 'most', flag: '4', major: 4095, minor: 1_048_575 },
    { name: 'fifo', flag: '6', mode: 0o622 },
    file('far', '', { pax: { mtime: '253402300800.000000001' } }),
    file('before', '', { pax: { mtime: '-99999999999.999999999' } }),
    file('none', '', { mode: 0 }),
  );
  await using mounted = await mountLayer(sandbox, archive);
  const at = (name: string) => stat(mounted.path, name);
  const facts = (name: string) => [(at(name).mode & 0o7777).toString(8), at(name).uid, at(name).gid];
  assert.deepEqual(facts('setgid'), ['2775', 3, 4]);
  assert.equal(at('setgid').mtimeNs, 1_500_000_000_000_000_000n);
  assert.deepEqual(facts('setgid/plain'), ['664', 0, 0]);
  assert.deepEqual(facts('setuid'), ['6755', 4_294_967_294, 70_000]);
  const caps = join(mounted.path, 'caps');
  assert.deepEqual(listXattrs(caps).map(String).sort(), [
    'security.capability',
    'system.posix_acl_access',
    'user.empty',
    'user.long',
  ]);
  assert.deepEqual(getXattr(caps, 'security.capability'), capability);
  assert.deepEqual(getXattr(caps, 'system.posix_acl_access'), acl);
  assert.equal(getXattr(caps, 'user.long')?.toString(), long);
  assert.deepEqual([at('link').uid, at('link').gid, at('link').mtimeNs], [5, 6, -3_500_000_000n]);
  assert.deepEqual([at('null').rdev, facts('null')[0]], [{ major: 1, minor: 3 }, '666']);
  assert.deepEqual(at('block').rdev, { major: 259, minor: 70_000 });
  assert.deepEqual(at('most').rdev, { major: 4095, minor: 1_048_575 });
  assert.ok(lstatSync(join(mounted.path, 'fifo')).isFIFO());
  assert.equal(at('far').mtimeNs, 253_402_300_800_000_000_001n);
  assert.equal(at('before').mtimeNs, -99_999_999_999_999_999_999n);
  assert.equal(facts('none')[0], '0');
});

test('names of 255 bytes, any byte but slash and NUL, and links of any length are kept', async () => {
  using sandbox = makeSandbox();
  const names = [
    Buffer.alloc(255, 'n'),
    ...Array.from({ length: 255 }, (_, i) => Buffer.of(i + 1)).filter((b) => b[0] !== 0x2f && b[0] !== 0x2e),
  ];
  const lengths = [1, 59, 60, 447, 448, 449, 480, 481, 511, 512, 513, 1024, 4094, 4095];
  const archive = tar(
    ...names.map((name): TarMember => file('x', name, { pax: { path: name } })),
    ...lengths.map((n) => symlink(`l${n}`, '', { pax: { linkpath: 't'.repeat(n) } })),
    symlink('bytes', '', { pax: { linkpath: Buffer.of(0xff, 0x80, 0x01) } }),
  );
  await using mounted = await mountLayer(sandbox, archive);
  const found = readdirSync(mounted.path, { encoding: 'buffer' });
  assert.equal(found.length, names.length + lengths.length + 1);
  for (const name of names)
    assert.deepEqual(readFileSync(Buffer.concat([Buffer.from(`${mounted.path}/`), name])), name);
  for (const n of lengths) assert.equal(readlinkSync(join(mounted.path, `l${n}`)).length, n);
  assert.deepEqual(readlinkAt(AT_FDCWD, join(mounted.path, 'bytes')), Buffer.of(0xff, 0x80, 0x01));
});

describe('refused is', () => {
  const cases: Record<string, TarMember> = {
    'a name of 256 bytes': file('', '', { pax: { path: 'n'.repeat(256) } }),
    'a directory of 256 bytes': file('', '', { pax: { path: `${'n'.repeat(256)}/f` } }),
    'a link of 4096 bytes': symlink('l', '', { pax: { linkpath: 't'.repeat(4096) } }),
    'an empty link': symlink('l', ''),
    'a device number beyond the kernel’s': { name: 'd', flag: '3', major: 4096, minor: 1 },
    'a negative device number': { name: 'd', flag: '3', patch: (h) => base256(-1n, 8).copy(h, 329) },
    'a capability that is none': file('f', '', { pax: { 'SCHILY.xattr.security.capability': 'x' } }),
    'an ACL that is none': file('f', '', { pax: { 'SCHILY.xattr.system.posix_acl_access': 'xxxx' } }),
    'a default ACL of a file': file('f', '', {
      pax: { 'SCHILY.xattr.system.posix_acl_default': Buffer.from('0200000001000600ffffffff', 'hex') },
    }),
    'an attribute without a name': file('f', '', { pax: { 'SCHILY.xattr.user.': 'x' } }),
    'an attribute whose name is too long': file('f', '', {
      pax: { [`SCHILY.xattr.user.${'n'.repeat(251)}`]: 'x' },
    }),
    'an attribute of 64 KiB': file('f', '', { pax: { 'SCHILY.xattr.user.x': 'v'.repeat(65_536) } }),
    'a sparse file larger than any': file('f', 'abc', {
      pax: { 'GNU.sparse.size': `${2 ** 45}`, 'GNU.sparse.numblocks': '1', 'GNU.sparse.map': '0,3' },
    }),
  };
  for (const [what, bad] of Object.entries(cases))
    test(what, async () => {
      using sandbox = makeSandbox();
      const layerFile = join(sandbox.target, 'layer');
      await assert.rejects(applyTar(tar(bad), { layerFile }), (error) => isKind(error, 'invalid_argument'));
    });

  test('more than a layer may have, and only that', async () => {
    const bounds: [TarMember[], object][] = [
      [Array.from({ length: 11 }, (_, i) => file(`f${i}`)), { entries: 10 }],
      [[file('a/b/c/d/e/f')], { entries: 5 }],
      [
        Array.from({ length: 11 }, (_, i) => symlink(`l${i}`, `${'t'.repeat(95)}${i}`)),
        { metadataBytes: 12 * 300 + 600 },
      ],
      [
        Array.from({ length: 11 }, (_, i) =>
          file('f', '', { pax: { [`SCHILY.xattr.user.a${i}`]: 'v'.repeat(80) } }),
        ),
        { metadataBytes: 12 * 300 + 600 },
      ],
      [Array.from({ length: 11 }, (_, i) => hardlink(`l${i}`, 't'.repeat(95))), { metadataBytes: 2000 }],
    ];
    for (const [members, limits] of bounds) {
      using sandbox = makeSandbox();
      const layerFile = join(sandbox.target, 'layer');
      const apply = (limit: object) => applyTar(tar(...members), { layerFile }, { limits: limit });
      await assert.rejects(apply(limits), (error) => isKind(error, 'resource_exhausted'));
      truncateSync(layerFile);
      await apply({});
    }
  });
});

test('100,000 files in one directory are found one by one', async () => {
  using sandbox = makeSandbox();
  const count = 100_000;
  const members = Array.from({ length: count }, (_, i) => member(file(`d/${(i * 7919) % count}`, '')));
  await using mounted = await mountLayer(sandbox, tar(...members));
  assert.equal(readdirSync(join(mounted.path, 'd')).length, count);
  for (let i = 0; i < count; i += 97) assert.ok(lstatSync(join(mounted.path, `d/${i}`)).isFile());
  assert.throws(() => lstatSync(join(mounted.path, 'd/100000')), { code: 'ENOENT' });
});

describe('sparse files', () => {
  /** GNU tar packs files with holes in each of its formats. */
  function pack(sandbox: Sandbox, format: string): { archive: Buffer; from: string } {
    const from = join(sandbox.path, 'from');
    mkdirSync(from, { recursive: true });
    write(join(from, 'ends-in-hole'), 3 << 20, [
      [0, 'start'],
      [1 << 20, 'middle'],
    ]);
    write(join(from, 'odd'), 1_000_003, [
      [70_001, 'odd'],
      [999_000, 'end'],
    ]);
    write(join(from, 'only-hole'), 5_000_000, []);
    write(
      join(from, 'many'),
      64 << 20,
      Array.from({ length: 200 }, (_, i) => [i * 300_000, `${i}`]),
    );
    write(join(from, 'huge'), 6 * 2 ** 30, [[5 * 2 ** 30, 'far']]);
    const tarFile = join(sandbox.path, 'sparse.tar');
    execFileSync('tar', [...format.split(' '), '--sparse', '-C', from, '-cf', tarFile, '.']);
    const archive = readFileSync(tarFile);
    rmSync(tarFile);
    return { archive, from };
  }
  for (const format of [
    '--format=gnu',
    '--format=pax --sparse-version=0.0',
    '--format=pax --sparse-version=0.1',
    '--format=pax --sparse-version=1.0',
  ])
    test(`of GNU tar ${format} have their holes and their bytes`, async () => {
      using sandbox = makeSandbox();
      const { archive, from } = pack(sandbox, format);
      await using mounted = await mountLayer(sandbox, archive);
      for (const name of ['ends-in-hole', 'odd', 'only-hole', 'many'])
        assert.ok(readFileSync(join(mounted.path, name)).equals(readFileSync(join(from, name))), name);
      assert.equal(statSync(join(mounted.path, 'huge')).size, 6 * 2 ** 30);
      assert.equal(readAt(join(mounted.path, 'huge'), 5 * 2 ** 30 - 2, 7), '\0\0far\0\0');
      assert.ok(statSync(join(sandbox.target, 'layer')).blocks * 512 < 30 << 20);
    });

  test('whose runs lie anywhere, at any byte', async () => {
    using sandbox = makeSandbox();
    const sizeBytes = 3_000_017;
    const runs = [
      [1, 3],
      [511, 2],
      [514, 1],
      [5000, 20_000],
      [25_000, 1],
      [700_000, 512],
      [2_999_000, 1017],
    ] as const;
    const expected = Buffer.alloc(sizeBytes);
    const parts = runs.map(([at, length], i) => expected.subarray(at, at + length).fill(i + 65));
    const pax = {
      'GNU.sparse.size': `${sizeBytes}`,
      'GNU.sparse.numblocks': `${runs.length}`,
      'GNU.sparse.map': runs.flat().join(','),
    };
    const terabyte = {
      ...pax,
      'GNU.sparse.size': `${2 ** 40}`,
      'GNU.sparse.numblocks': '1',
      'GNU.sparse.map': '1048576,3',
    };
    const archive = tar(
      file('any', Buffer.concat(parts), { pax }),
      file('tera', 'abc', { pax: terabyte }),
      file('after', 'in'),
    );
    await using mounted = await mountLayer(sandbox, archive);
    assert.ok(readFileSync(join(mounted.path, 'any')).equals(expected));
    assert.equal(readAt(join(mounted.path, 'tera'), 2 ** 20 - 1, 5), '\0abc\0');
    assert.equal(statSync(join(mounted.path, 'tera')).size, 2 ** 40);
    assert.equal(readFileSync(join(mounted.path, 'after'), 'utf8'), 'in');
    assert.ok(statSync(join(sandbox.target, 'layer')).blocks * 512 < 20 << 20);
  });
});

function write(path: string, sizeBytes: number, runs: readonly (readonly [number, string])[]): void {
  const fd = openSync(path, 'w');
  for (const [at, text] of runs) writeSync(fd, text, at);
  closeSync(fd);
  truncateSync(path, sizeBytes);
}

function readAt(path: string, at: number, length: number): string {
  const fd = openSync(path, 'r');
  const buffer = Buffer.alloc(length);
  readSync(fd, buffer, 0, length, at);
  closeSync(fd);
  return buffer.toString('latin1');
}

test('an archive without its last padding, or with something behind its end, is whole', async () => {
  using sandbox = makeSandbox();
  const whole = tar(dir('d'), file('d/f', 'x'.repeat(700)));
  for (const [i, archive] of [
    whole.subarray(0, 512 * 2 + 700),
    Buffer.concat([whole, Buffer.from('rest')]),
  ].entries()) {
    const layerFile = join(sandbox.target, `${i}`);
    await applyTar(archive, { layerFile });
    fsckErofs(layerFile);
    assert.equal((await verifyLayerFile(layerFile)).sizeBytes, archive.length);
    await using mounted = await mountTemporarily(layerMount(layerFile));
    assert.equal(readFileSync(join(mounted.path, 'd/f'), 'utf8'), 'x'.repeat(700));
  }
});

test('programs run from it', async () => {
  using sandbox = makeSandbox();
  const [busybox] = busyboxLayers(sandbox.path);
  assert.ok(busybox);
  await using mounted = await mountLayer(sandbox, readFileSync(busybox));
  assert.equal(
    execFileSync(join(mounted.path, 'bin/busybox'), ['echo', 'runs'], { encoding: 'utf8' }),
    'runs\n',
  );
});

test('layers of nothing are layers too', async () => {
  using sandbox = makeSandbox();
  for (const [i, archive] of [Buffer.alloc(0), tar(), tar(dir('./'))].entries()) {
    const layerFile = join(sandbox.target, `${i}`);
    const applied = await applyTar(archive, { layerFile });
    assert.equal(applied.inodes, 0);
    fsckErofs(layerFile);
    await using mounted = await mountTemporarily(layerMount(layerFile));
    assert.equal(readTree(mounted.path).size, 0);
  }
});

test('a file above 4 GiB is read to its end', async () => {
  using sandbox = makeSandbox();
  const layerFile = join(sandbox.target, 'layer');
  const sizeBytes = 4 * 2 ** 30 + 1000;
  async function* big(): AsyncGenerator<Uint8Array> {
    yield member(file('big', '', { size: sizeBytes })).subarray(0, 512);
    const zeros = Buffer.alloc(1 << 20);
    for (let i = 0; i < 4096; i++) yield zeros;
    yield Buffer.concat([Buffer.alloc(1000, 'e'), Buffer.alloc(24), tar(file('after', 'in'))]);
  }
  const source = big();
  await applyTar(Buffer.alloc(0), { layerFile }, { source });
  await using mounted = await mountTemporarily(layerMount(layerFile));
  assert.equal(statSync(join(mounted.path, 'big')).size, sizeBytes);
  assert.equal(readAt(join(mounted.path, 'big'), sizeBytes - 1001, 1001), `\0${'e'.repeat(1000)}`);
  assert.equal(readFileSync(join(mounted.path, 'after'), 'utf8'), 'in');
  assert.ok(statSync(layerFile).blocks * 512 < 8 << 20, 'zeros are not written');
});

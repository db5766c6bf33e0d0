import assert from 'node:assert/strict';
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type ErrorKind, isKind } from '../../src/errors/error.ts';
import { finishApplied } from '../../src/layers/apply.ts';
import { finishLayerFile } from '../../src/layers/erofs/finish-layer-file.ts';
import { readLayerFile, verifyLayerFile } from '../../src/layers/erofs/layer-file.ts';
import { statAt } from '../../src/sys/stat.ts';
import { mountTemporarily } from '../../src/sys/temp-mount.ts';
import { getXattr, listXattrs, setXattr } from '../../src/sys/xattr.ts';
import { fsckErofs, layerMount } from '../kit/layer-files.ts';
import { dir, file, hardlink, symlink, tar } from '../kit/tar-builder.ts';
import { applyTar, makeSandbox, type Sandbox } from './sandbox.ts';

const rejects = (promise: Promise<unknown>, kind: ErrorKind, message = /./) =>
  assert.rejects(promise, (error) => {
    assert.ok(isKind(error, kind) && message.test(String(error)), String(error));
    return true;
  });

const fileIn = (sandbox: Sandbox, name = 'layer') => join(sandbox.target, name);

const ordinary = tar(dir('d'), file('d/f', 'data'), symlink('l', 'd/f'), hardlink('h', 'd/f'));

describe('a layer file', () => {
  test('holds the layer byte for byte, knows its diff ID, and is the same each time', async () => {
    using sandbox = makeSandbox();
    const layerFile = fileIn(sandbox);
    const applied = await applyTar(ordinary, { layerFile }, { sync: true });
    assert.deepEqual(readFileSync(layerFile).subarray(4096, 4096 + ordinary.length), ordinary);
    const { fileBytes, ...told } = await readLayerFile(layerFile);
    assert.deepEqual(told, { diffId: applied.diffId, sizeBytes: ordinary.length, inodes: applied.inodes });
    assert.equal(statSync(layerFile).size, fileBytes);
    assert.equal((await verifyLayerFile(layerFile)).diffId, applied.diffId);
    fsckErofs(layerFile);
    const again = fileIn(sandbox, 'again');
    await applyTar(ordinary, { layerFile: again });
    assert.deepEqual(readFileSync(again), readFileSync(layerFile));
  });

  test('is mounted without a loop device', async () => {
    using sandbox = makeSandbox();
    const layerFile = fileIn(sandbox);
    await applyTar(ordinary, { layerFile });
    await using mounted = await mountTemporarily(layerMount(layerFile));
    assert.equal(readFileSync(join(mounted.path, 'l'), 'utf8'), 'data');
    assert.equal(statSync(join(mounted.path, 'h')).nlink, 2);
  });

  test('is not written over what is there', async () => {
    using sandbox = makeSandbox();
    const layerFile = fileIn(sandbox);
    writeFileSync(layerFile, 'something');
    await rejects(applyTar(ordinary, { layerFile }), 'failed_precondition');
    assert.equal(readFileSync(layerFile, 'utf8'), 'something');
    writeFileSync(layerFile, '');
    await applyTar(ordinary, { layerFile });
  });

  test('tells that it is unfinished, damaged or cut', async () => {
    using sandbox = makeSandbox();
    await rejects(readLayerFile(fileIn(sandbox, 'none')), 'not_found');
    const cut = fileIn(sandbox, 'cut');
    await rejects(applyTar(ordinary.subarray(0, 2000), { layerFile: cut }), 'invalid_argument');
    await rejects(readLayerFile(cut), 'data_loss', /unfinished or damaged/);
    await rejects(mountTemporarily(layerMount(cut)), 'unknown', /mount erofs/);
    const damages: [number, RegExp | undefined, RegExp][] = [
      [1024 + 3, /unfinished or damaged/, /unfinished or damaged/],
      [1024 + 300, /unfinished or damaged/, /unfinished or damaged/],
      [4096 + 600, undefined, /not that of its diff ID/],
      [4096 + ordinary.length + 4096, undefined, /metadata has changed/],
    ];
    for (const [at, onRead, onVerify] of damages) {
      const layerFile = fileIn(sandbox, `damaged-${at}`);
      await applyTar(ordinary, { layerFile });
      flip(layerFile, at);
      if (onRead) await rejects(readLayerFile(layerFile), 'data_loss', onRead);
      else await readLayerFile(layerFile);
      await rejects(verifyLayerFile(layerFile), 'data_loss', onVerify);
    }
    const short = fileIn(sandbox, 'short');
    await applyTar(ordinary, { layerFile: short });
    truncateSync(short, statSync(short).size - 1);
    await rejects(readLayerFile(short), 'data_loss', /bytes/);
  });
});

function flip(path: string, at: number): void {
  const byte = readFileSync(path)[at] ?? 0;
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.of(byte ^ 0xff), 0, 1, at);
  closeSync(fd);
}

describe('what a layer file leaves to lower layers', () => {
  const layer = tar(file('tmp/deep/x', 'in'), file('own/y'), dir('tmp/told', { mode: 0o700 }));

  /** A lower layer whose tmp has everything to be inherited. */
  async function lowerIn(sandbox: Sandbox): Promise<string> {
    const lower = join(sandbox.path, 'lower');
    mkdirSync(lower);
    const pax = { mtime: '-5.25' };
    await applyTar(tar(dir('tmp', { mode: 0o1777, uid: 8, gid: 4_000_000_000, pax })), { directory: lower });
    setXattr(join(lower, 'tmp'), 'user.kept', Buffer.from('1'));
    setXattr(join(lower, 'tmp'), 'trusted.overlay.opaque', Buffer.from('y'));
    return lower;
  }

  test('is inherited when it is finished, as often as one likes', async () => {
    using sandbox = makeSandbox();
    const layerFile = fileIn(sandbox);
    const { unfinished } = await applyTar(layer, { layerFile });
    assert.ok(unfinished);
    assert.deepEqual(unfinished, { implicitDirectories: ['tmp', 'tmp/deep', 'own'], links: [] });
    const lower = await lowerIn(sandbox);
    await finishLayerFile(layerFile, [], unfinished);
    const copy = fileIn(sandbox, 'copy');
    copyFileSync(layerFile, copy);
    const job = { finish: 'layer-file', lower: [sandbox.host, lower], unfinished } as const;
    await finishApplied({ ...job, path: layerFile }, 1);
    await finishApplied({ ...job, path: copy }, 1_000_000);
    assert.ok(readFileSync(copy).equals(readFileSync(layerFile)), 'at once and in a worker alike');
    await finishApplied({ ...job, path: layerFile }, 1);
    await verifyLayerFile(layerFile);
    fsckErofs(layerFile);
    await using mounted = await mountTemporarily(layerMount(layerFile));
    const { mode, uid, gid, mtimeNs } = statAt(-100, join(mounted.path, 'tmp'));
    assert.deepEqual([mode & 0o7777, uid, gid, mtimeNs], [0o1777, 8, 4_000_000_000, -5_250_000_000n]);
    assert.deepEqual(listXattrs(join(mounted.path, 'tmp')).map(String), ['user.kept']);
    assert.equal(getXattr(join(mounted.path, 'tmp'), 'user.kept')?.toString(), '1');
    assert.equal(statSync(join(mounted.path, 'own')).mode & 0o7777, 0o755);
    assert.equal(statSync(join(mounted.path, 'tmp/told')).mode & 0o7777, 0o700);
    assert.equal(readFileSync(join(mounted.path, 'tmp/deep/x'), 'utf8'), 'in');
  });

  test('is refused where only a directory will do', async () => {
    using sandbox = makeSandbox();
    const layerFile = fileIn(sandbox, 'links');
    const { unfinished } = await applyTar(tar(hardlink('h', 'below')), { layerFile });
    assert.ok(unfinished);
    assert.deepEqual(unfinished.links, [['h', 'below']]);
    await rejects(finishLayerFile(layerFile, [sandbox.host], unfinished), 'failed_precondition', /directory/);
    await rejects(finishLayerFile(layerFile, [], unfinished), 'invalid_argument', /nowhere/);
    const job = { finish: 'layer-file', path: layerFile, lower: [sandbox.host], unfinished } as const;
    await rejects(finishApplied(job, 1_000_000), 'failed_precondition', /directory/);
    const many = fileIn(sandbox, 'many');
    const told = (await applyTar(layer, { layerFile: many })).unfinished;
    assert.ok(told);
    const lower = await lowerIn(sandbox);
    for (let i = 0; i < 14; i++) setXattr(join(lower, 'tmp'), `user.${i}`, Buffer.from('1'));
    await rejects(finishLayerFile(many, [lower], told), 'failed_precondition', /directory/);
    await rejects(finishLayerFile(layerFile, [lower], told), 'failed_precondition', /other directories/);
  });
});

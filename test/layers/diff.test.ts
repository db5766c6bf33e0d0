import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { isKind } from '../../src/errors/error.ts';
import { type DiffRequest, diffLayer, type MadeLayer } from '../../src/layers/diff/diff.ts';
import type { LayerMount } from '../../src/layers/target.ts';
import { mountTemporarily, withTempMount } from '../../src/sys/temp-mount.ts';
import { Random } from '../chaos/random.ts';
import { compareTrees, readTree, type Tree } from '../kit/tree.ts';
import { changeTree } from './random-tree.ts';
import { applyTar } from './sandbox.ts';

const scratch = mkdtempSync(join(process.env.BERTH_TEST_SCRATCH ?? '/var/tmp', 'berth-diff-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
const rounds = Number(process.env.BERTH_DIFF_ROUNDS ?? 12);

interface Made extends MadeLayer {
  readonly bytes: Buffer;
}

async function make(
  left: readonly LayerMount[],
  right: readonly LayerMount[],
  more: Partial<DiffRequest> = {},
): Promise<Made> {
  const { signal } = new AbortController();
  const making = diffLayer({ left, right, compression: 'none', signal, ...more });
  const chunks: Uint8Array[] = [];
  for (;;) {
    const { done, value } = await making.next();
    if (done) return { ...value, bytes: Buffer.concat(chunks) };
    chunks.push(value);
  }
}

const bind = (source: string): LayerMount[] => [{ type: 'bind', source, options: ['ro', 'rbind'] }];
const directory = (): string => mkdtempSync(join(scratch, 't-'));
const copy = (from: string): string => {
  const to = directory();
  execFileSync('cp', ['-a', '--sparse=always', `${from}/.`, to]);
  return to;
};
const sha256 = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const treeOf = (path: string): Tree => readTree(path);

for (let seed = 1; seed <= rounds; seed++) {
  test(`applying the difference of two trees to the first makes the second, and the bytes are always the same (seed ${seed})`, async () => {
    const random = new Random(seed);
    const before = directory();
    changeTree(before, random, 30);
    const now = copy(before);
    changeTree(now, random, 20);
    const layer = await make(bind(before), bind(now));
    assert.equal(layer.diffId, sha256(layer.bytes));
    assert.equal(layer.sizeBytes, layer.bytes.length);
    assert.ok((await make(bind(before), bind(now))).bytes.equals(layer.bytes));
    const applied = copy(before);
    await applyTar(layer.bytes, { directory: applied });
    assert.deepEqual(compareTrees(treeOf(applied), treeOf(now)), []);
    assert.equal((await make(bind(applied), bind(now))).bytes.length, 1024, 'nothing is left to change');
  });

  test(`an upperdir tells the same difference as the two trees do (seed ${seed})`, async () => {
    const random = new Random(1000 + seed);
    const [lowest, lower, upper, work] = [directory(), directory(), directory(), directory()];
    // Copying a file up takes it from its other names, which the two ways tell in different words.
    const links = seed % 3 === 0;
    changeTree(lowest, random, 30, { links });
    const stack = `lowerdir=${lower}:${lowest}`;
    const overlay = (...options: string[]) => [
      { type: 'overlay', source: 'overlay', options: [...options, stack] },
    ];
    const active = overlay('index=off', `workdir=${work}`, `upperdir=${upper}`);
    const view = overlay('index=off');
    await withTempMount(active, async (path) => changeTree(path, random, 25, { links }));
    const layer = await make(view, active);
    await using mounted = await mountTemporarily(active);
    const whole = await make(view, bind(mounted.path));
    if (!links) assert.ok(whole.bytes.equals(layer.bytes), 'the general walk makes the same bytes');
    // A copy, because overlayfs counts names of a file that it no longer has.
    const wanted = treeOf(copy(mounted.path));
    for (const { bytes } of [layer, whole]) {
      const applied = copy(lowest);
      await applyTar(bytes, { directory: applied });
      assert.deepEqual(compareTrees(treeOf(applied), wanted), []);
    }
  });
}

test('GNU tar extracts a layer of everything to the same tree', async () => {
  const tree = directory();
  changeTree(tree, new Random(7), 120);
  const { bytes } = await make([], bind(tree));
  const [archive, out] = [join(scratch, 'all.tar'), directory()];
  writeFileSync(archive, bytes);
  execFileSync('tar', [
    '--xattrs',
    '--xattrs-include=*',
    '--numeric-owner',
    '--same-owner',
    '-xpf',
    archive,
    '-C',
    out,
  ]);
  assert.deepEqual(compareTrees(treeOf(out), treeOf(tree)), []);
});

test('compressed layers inflate to the same tar, and are the same bytes each time', async () => {
  const tree = directory();
  changeTree(tree, new Random(8), 60);
  const plain = await make([], bind(tree));
  for (const [compression, inflate] of [
    ['gzip', gunzipSync],
    ['zstd', zstdDecompressSync],
  ] as const) {
    const packed = await make([], bind(tree), { compression });
    assert.equal(packed.diffId, plain.diffId);
    assert.ok(inflate(packed.bytes).equals(plain.bytes));
    assert.ok((await make([], bind(tree), { compression })).bytes.equals(packed.bytes));
  }
});

test('a source date epoch sets later times back, and gives whiteouts theirs', async () => {
  const [before, now] = [directory(), directory()];
  writeFileSync(join(before, 'gone'), '');
  writeFileSync(join(now, 'new'), '');
  const { bytes } = await make(bind(before), bind(now), { latestMs: 1_000_000_000_000 });
  const listed = execFileSync('tar', ['--full-time', '--utc', '-tvf', '-'], {
    input: bytes,
    encoding: 'utf8',
  });
  assert.deepEqual(
    listed
      .trim()
      .split('\n')
      .map((line) => line.replace(/^.* (?=\d{4}-)/, '')),
    ['2001-09-09 01:46:40 .wh.gone', '2001-09-09 01:46:40 new'],
  );
});

test('sockets are left out, a name that would be a whiteout is refused, and so are no mounts at all', async () => {
  const tree = directory();
  execFileSync('python3', ['-c', `import socket; socket.socket(socket.AF_UNIX).bind("${tree}/s")`]);
  assert.equal((await make([], bind(tree))).bytes.length, 1024);
  await assert.rejects(make([], []), (e) => isKind(e, 'invalid_argument'));
  writeFileSync(join(tree, '.wh.x'), '');
  await assert.rejects(
    make([], bind(tree)),
    (e: Error) => isKind(e, 'failed_precondition') && /\.wh\.x/.test(e.message),
  );
});

test('a sparse file takes no more room than its data, and a link in a tree leads nowhere', async () => {
  const tree = directory();
  writeFileSync(join(tree, 'huge'), '');
  truncateSync(join(tree, 'huge'), 6 * 2 ** 30);
  writeFileSync(join(tree, 'file'), 'x');
  execFileSync('ln', ['-s', '/etc', join(tree, 'etc')]);
  const { bytes } = await make([], bind(tree));
  assert.ok(bytes.length < 10_000);
  const out = directory();
  await applyTar(bytes, { directory: out });
  assert.deepEqual(compareTrees(treeOfSmall(out), treeOfSmall(tree)), []);
  assert.equal(
    execFileSync('stat', ['-c', '%s', join(out, 'huge')], { encoding: 'utf8' }).trim(),
    String(6 * 2 ** 30),
  );
});

function treeOfSmall(path: string): Tree {
  const small = copy(path);
  rmSync(join(small, 'huge'));
  return readTree(small);
}

test('a cancelled difference stops, and so does one that nobody reads to its end', async () => {
  const tree = directory();
  mkdirSync(join(tree, 'd'));
  for (let i = 0; i < 50; i++) writeFileSync(join(tree, 'd', String(i)), Buffer.alloc(1 << 20, i));
  const stop = new AbortController();
  const making = diffLayer({ left: [], right: bind(tree), compression: 'none', signal: stop.signal });
  await making.next();
  stop.abort();
  await assert.rejects(
    async () => {
      for await (const _ of making);
    },
    (e) => isKind(e, 'aborted'),
  );
  const left = diffLayer({
    left: [],
    right: bind(tree),
    compression: 'gzip',
    signal: new AbortController().signal,
  });
  await left.next();
  await left.return({ diffId: '' as never, sizeBytes: 0 });
  assert.equal(readFileSync('/proc/self/mountinfo', 'latin1').includes('berth-mount-'), false);
});

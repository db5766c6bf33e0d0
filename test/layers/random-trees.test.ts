import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { kindOf } from '../../src/errors/error.ts';
import type { AppliedLayer, ApplyRequest } from '../../src/layers/apply.ts';
import { AT_FDCWD, S_IFCHR } from '../../src/sys/constants.ts';
import { type FileStat, statAt, typeOf } from '../../src/sys/stat.ts';
import { withTempMount } from '../../src/sys/temp-mount.ts';
import { fsckErofs, layerMount } from '../kit/layer-files.ts';
import { type TarMember, tar, withChecksum } from '../kit/tar-builder.ts';
import { compareTrees, readTree, type Tree } from '../kit/tree.ts';
import { applyTar, upperMount } from './sandbox.ts';

/** Random layers mean the same as a directory and as a layer file. BERTH_FUZZ_SEED=n tries others: `date +%s` every time new ones. */

const scratch = mkdtempSync(join(process.env.BERTH_TEST_SCRATCH ?? '/var/tmp', 'berth-trees-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

const fuzzSeed = Number(process.env.BERTH_FUZZ_SEED ?? 77_235_779);
const numRuns = Number(process.env.BERTH_FUZZ_RUNS ?? 150);

/** Few names, so that members meet: replace, link to and hide each other. */
const name = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom('a', 'b', 'c', 'd', '.x', '!', '~') },
  { weight: 1, arbitrary: fc.constantFrom('n'.repeat(255), 'é', '\u{10ffff}', ' ', '-', 'A', '..', '.') },
);
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const hidden = fc
  .tuple(
    fc.array(name, { maxLength: 3 }),
    fc.oneof(
      name.map((n) => `.wh.${n}`),
      fc.constant('.wh..wh..opq'),
    ),
  )
  .map(([parts, base]) => [...parts, base].join('/'));

const owner = fc.constantFrom(0, 1, 65_535, 65_536, 2 ** 32 - 2);
const xattrs = fc.dictionary(
  fc.constantFrom(
    'user.a',
    'user.bb',
    'security.x',
    'trusted.overlay.opaque',
    'trusted.t',
    'user.overlay.opaque',
  ),
  fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  { maxKeys: 3 },
);
const attributes = fc.record({
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: owner,
  gid: owner,
  mtime: fc.integer({ min: 0, max: 2 ** 33 - 1 }),
  fraction: fc.option(fc.constantFrom('-1000.5', '0.000000001', '2000000000.999999999')),
  xattrs: fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: xattrs }),
});

const content = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.integer({ min: 0, max: 3000 }).map((length) => new Uint8Array(length).fill(length % 251)),
);
const kind = fc.oneof(
  { weight: 5, arbitrary: fc.record({ flag: fc.constant('0'), data: content.map((b) => Buffer.from(b)) }) },
  { weight: 4, arbitrary: fc.record({ flag: fc.constant('5') }) },
  { weight: 2, arbitrary: fc.record({ flag: fc.constant('1'), link: path }) },
  {
    weight: 2,
    arbitrary: fc.record({
      flag: fc.constant('2'),
      link: fc.oneof(
        path,
        path.map((p) => `/${p}`),
        fc.constant('t'.repeat(600)),
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      flag: fc.constantFrom('3', '4'),
      major: fc.integer({ min: 0, max: 4095 }),
      minor: fc.integer({ min: 0, max: 2 ** 20 - 1 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ flag: fc.constant('6') }) },
);

const ordinary = fc
  .tuple(path, kind, attributes)
  .map(([where, what, { xattrs, fraction, ...more }]): TarMember => {
    const pax: Record<string, string | Buffer> = { path: where };
    if (fraction !== null) pax.mtime = fraction;
    if ('link' in what) pax.linkpath = what.link;
    for (const [key, value] of Object.entries(xattrs)) pax[`SCHILY.xattr.${key}`] = value;
    return { ...more, ...what, name: 'x', pax };
  });
const whiteout = hidden.map((where): TarMember => ({ name: 'x', pax: { path: where } }));
const members = fc.array(fc.oneof({ weight: 5, arbitrary: ordinary }, { weight: 1, arbitrary: whiteout }), {
  maxLength: 25,
});

/** Everything, also overlayfs' own attributes; but whiteouts and directories no member describes are as old as they are. */
function treeOf(root: string, implicit: ReadonlySet<string>): Tree {
  const isDated = (at: string) =>
    !implicit.has(at) && !isWhiteout(statAt(AT_FDCWD, Buffer.from(`${root}/${at}`, 'latin1')));
  return readTree(root, { xattr: (name) => name !== 'security.selinux', ignoreMtime: (at) => !isDated(at) });
}

const isWhiteout = (stat: FileStat): boolean =>
  typeOf(stat) === S_IFCHR && stat.rdev.major === 0 && stat.rdev.minor === 0;

/** Applies a layer; what kind of error it is refused with counts as an answer. */
const outcome = (archive: Buffer, to: ApplyRequest['to']): Promise<AppliedLayer | string> =>
  applyTar(archive, to).catch((error: unknown) => kindOf(error));

/** Applies a layer both ways and compares. Returns how many files it has. */
async function compare(archive: Buffer, place: string): Promise<number> {
  const directory = `${place}.d`;
  mkdirSync(directory);
  const [asFile, asDirectory] = await Promise.all([
    outcome(archive, { layerFile: place }),
    outcome(archive, upperMount(directory)),
  ]);
  if (typeof asFile === 'string' || typeof asDirectory === 'string') {
    assert.equal(asFile, asDirectory);
    return 0;
  }
  fsckErofs(place);
  const { unfinished, ...facts } = asFile;
  const { unfinished: directoryUnfinished, ...directoryFacts } = asDirectory;
  assert.deepEqual(facts, directoryFacts);
  assert.deepEqual(unfinished?.links ?? [], directoryUnfinished?.links ?? []);
  const implicit = new Set(unfinished?.implicitDirectories);
  const theirs = treeOf(directory, implicit);
  await withTempMount(layerMount(place), async (root) =>
    assert.deepEqual(compareTrees(treeOf(root, implicit), theirs), []),
  );
  return theirs.size;
}

test(`random layers are the same as directory and as file (seed ${fuzzSeed})`, async () => {
  let run = 0;
  let applied = 0;
  await fc.assert(
    fc.asyncProperty(members, async (list) => {
      const place = join(scratch, `${run++}`);
      if ((await compare(tar(...list), place)) > 0) applied++;
      rmSync(`${place}.d`, { recursive: true, force: true });
      rmSync(place, { force: true });
    }),
    { seed: fuzzSeed, numRuns },
  );
  assert.ok(applied > numRuns / 4, `only ${applied} of ${run} layers were neither empty nor refused`);
});

/** Where to change a byte, and to what; `fix` makes the header's checksum right again, so that more is read. */
const change = fc.record({ at: fc.nat(), to: fc.integer({ min: 0, max: 255 }), fix: fc.boolean() });

function damage(archive: Buffer, changes: readonly { at: number; to: number; fix: boolean }[]): Buffer {
  const damaged = Buffer.from(archive);
  for (const { at, to, fix } of changes) {
    // Half of them in the first half of a block, where headers and records have what is read.
    const place = at % damaged.length;
    const block = place - (place % 512);
    const where = fix ? block + (place % 360) : place;
    damaged[where] = to;
    if (fix) withChecksum(damaged.subarray(block, block + 512));
  }
  return damaged;
}

test(`random damage is refused, or makes a layer file that can be read (seed ${fuzzSeed})`, async () => {
  let run = 0;
  const changes = fc.array(change, { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(members, changes, async (list, where) => {
      const layerFile = join(scratch, `damaged-${run++}`);
      const applied = await outcome(damage(tar(...list), where), { layerFile });
      if (typeof applied === 'string') assert.ok(refusals.has(applied), applied);
      else {
        fsckErofs(layerFile);
        await withTempMount(layerMount(layerFile), async (root) => void readTree(root));
      }
      rmSync(layerFile, { force: true });
    }),
    { seed: fuzzSeed, numRuns: numRuns * 2 },
  );
});

const refusals = new Set(['invalid_argument', 'resource_exhausted']);

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { globSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Context } from '../../src/async/context.ts';
import type { FindApplyTarget } from '../../src/snapshots/apply-target.ts';
import { Holdings } from '../../src/storage/holdings.ts';
import { measureRoot } from '../../src/storage/usage.ts';
import { withTempMount } from '../../src/sys/temp-mount.ts';
import type { TransferParts } from '../../src/transfer/parts.ts';
import { pull } from '../../src/transfer/pull.ts';
import { digestOf, FlakyRegistry, tarOf } from '../kit/flaky-registry.ts';
import { layerMode } from '../kit/layer-mode.ts';
import { cannot } from '../snapshots/modes.ts';
import { inventory, openStack, pullQuietly, type Stack } from './stack.ts';

const unpack = [{ snapshotter: '', platform: { os: 'linux', architecture: 'amd64' } }];
const tars = [
  tarOf({ a: randomBytes(300_000).toString('hex'), 'd/gone': 'x' }),
  tarOf({ 'd/b': 'middle', 'd/.wh.gone': '' }),
  tarOf({ c: 'top' }),
];

let registry: FlakyRegistry;
beforeEach(async () => {
  registry = await FlakyRegistry.start();
  registry.addImage('x/y', 'latest', tars);
});
afterEach(() => registry[Symbol.asyncDispose]());

/** A stack whose layers that are applied are counted, and may be held up. */
async function watched(sharing: 'shared' | 'isolated' = 'shared') {
  const stack = await openStack('one', sharing);
  const seen = { applied: 0, hold: undefined as (() => Promise<void>) | undefined };
  const find: FindApplyTarget = async (mounts) => {
    seen.applied++;
    await seen.hold?.();
    return stack.parts.applyTarget(mounts);
  };
  return { stack, seen, parts: { ...stack.parts, applyTarget: find } };
}

const within = (ctx: Context, namespace: string, signal = ctx.signal): Context => ({
  ...ctx,
  namespace,
  signal,
});
const request = () => ({ reference: `${registry.host}/x/y:latest`, unpack });

/** Inodes of all layer files, one entry for each name. */
const layerFiles = ({ dir }: Stack): number[] =>
  globSync(join(dir, 'overlayfs/snapshots/*/layer.erofs')).map((path) => statSync(path).ino);

async function topOf({ metadata, parts }: Stack, ctx: Context): Promise<string> {
  const snapshots = (await metadata.snapshotters.get(parts.defaultSnapshotter)?.list(ctx)) ?? [];
  const parents = new Set(snapshots.map(({ parent }) => parent));
  return snapshots.find(({ name }) => !parents.has(name))?.name ?? assert.fail('no snapshot');
}

/** The files of an image as its containers see them. */
async function filesOf(stack: Stack, ctx: Context): Promise<string[]> {
  const snapshotter = stack.metadata.snapshotters.get('overlayfs') ?? assert.fail();
  const mounts = await snapshotter.view(ctx, 'look', await topOf(stack, ctx));
  const names = await withTempMount(mounts, async (path) =>
    (readdirSync(path, { recursive: true }) as string[]).sort(),
  );
  await snapshotter.remove(ctx, 'look');
  return names;
}

describe('a layer in several namespaces', {
  skip: layerMode === 'auto' ? await cannot('erofs') : 'layers are set otherwise',
}, () => {
  for (const sharing of ['shared', 'isolated'] as const)
    test(`is applied once and held once where content is ${sharing}, and goes with the last of them`, async () => {
      const { stack, seen, parts } = await watched(sharing);
      await using _ = stack;
      const [one, two] = [within(stack.ctx, 'one'), within(stack.ctx, 'two')];
      await pullQuietly(parts, one, request());
      await pullQuietly(parts, two, request());
      assert.equal(seen.applied, tars.length);
      assert.equal(layerFiles(stack).length, 2 * tars.length);
      assert.equal(new Set(layerFiles(stack)).size, tars.length);
      assert.deepEqual(await filesOf(stack, two), ['a', 'c', 'd', 'd/b']);

      const holdings = await Holdings.read(stack.metadata, stack.ctx);
      const held = holdings.nodesOf('snapshot').map((node) => holdings.things.get(node) ?? assert.fail());
      const bodies = new Map(held.map(({ body, bytes }) => [body, bytes]));
      assert.equal(bodies.size, tars.length);
      const counted = [...bodies.values()].reduce((sum, bytes) => sum + bytes, 0);
      const onDisk =
        (await measureRoot(stack.dir)).parts.find(({ name }) => name === 'other')?.diskBytes ?? 0;
      assert.ok(counted > 600_000 && counted <= onDisk, `${counted} of ${onDisk}`);

      await stack.metadata.images.delete(one, request().reference);
      await stack.metadata.gc.collectNow();
      assert.deepEqual(await filesOf(stack, two), ['a', 'c', 'd', 'd/b']);
      await stack.metadata.images.delete(two, request().reference);
      await stack.metadata.gc.collectNow();
      await stack.metadata.directories.get('overlayfs')?.settled();
      assert.deepEqual(layerFiles(stack), []);
    });

  test('is applied once for pulls at the same time; when the one that applies goes away, another does it', async () => {
    const { stack, seen, parts } = await watched();
    await using _ = stack;
    const begun = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    seen.hold = async () => {
      if (seen.applied === tars.length) begun.resolve();
      await released.promise;
    };
    const stop = new AbortController();
    const first = pullQuietly(parts, within(stack.ctx, 'one', stop.signal), request());
    first.catch(() => {});
    await begun.promise;
    const others = ['two', 'three'].map(async (namespace) => {
      const waiting = Promise.withResolvers<void>();
      const work = (async () => {
        for await (const { phase } of pull(parts, within(stack.ctx, namespace), request()))
          if (phase === 'complete') waiting.resolve();
      })();
      await waiting.promise;
      return { work };
    });
    const working = await Promise.all(others);
    assert.equal(seen.applied, tars.length, 'the others wait');
    stop.abort();
    released.resolve();
    await assert.rejects(first);
    await Promise.all(working.map(({ work }) => work));
    assert.equal(seen.applied, 2 * tars.length, 'once by the one that went away, once for all others');
    assert.equal(new Set(layerFiles(stack)).size, tars.length);
    assert.deepEqual(await filesOf(stack, within(stack.ctx, 'three')), ['a', 'c', 'd', 'd/b']);
  });

  test('whose config claims the layers of another image has what it unpacks itself, or nothing', async () => {
    const { stack, seen, parts } = await watched();
    await using _ = stack;
    await pullQuietly(parts, within(stack.ctx, 'one'), request());
    const wanted = digestOf(tars[0] ?? assert.fail());
    const config = { rootfs: { type: 'layers', diff_ids: [wanted] } };
    registry.addImage('x/thief', 'latest', [tarOf({ mine: 'x' })], { config });
    const thief = within(stack.ctx, 'two');
    await assert.rejects(
      pullQuietly(parts, thief, { ...request(), reference: `${registry.host}/x/thief:latest` }),
      {
        kind: 'data_loss',
      },
    );
    assert.equal(seen.applied, tars.length + 1);
    assert.equal(layerFiles(stack).length, tars.length);
  });

  test('that a client has put under its name is not handed on', async () => {
    const { stack, seen, parts } = await watched();
    await using _ = stack;
    const [one, two] = [within(stack.ctx, 'one'), within(stack.ctx, 'two')];
    await pullQuietly(parts, two, request());
    const snapshotter = stack.metadata.snapshotters.get('overlayfs') ?? assert.fail();
    const chain = await snapshotter.list(two);
    const bottom = chain.find(({ parent }) => parent === '')?.name ?? assert.fail();
    await stack.metadata.images.delete(two, request().reference);
    await stack.metadata.gc.collectNow();
    // Its own files under the name of the lowest layer: what is unpacked above is of no use to others.
    await snapshotter.prepare(one, 'forged', '', { 'containerd.io/gc.root': 'x' });
    await snapshotter.commit(one, bottom, 'forged', { 'containerd.io/gc.root': 'x' });
    await pullQuietly(parts, one, request());
    const before = seen.applied;
    await pullQuietly(parts, two, request());
    assert.equal(seen.applied - before, tars.length);
    assert.deepEqual(await filesOf(stack, two), ['a', 'c', 'd', 'd/b']);
  });
});

describe('a layer that several pulls of one namespace want at the same time', () => {
  /** A pull, and the layers that it has been told are being extracted. */
  function pulling(parts: TransferParts, ctx: Context) {
    const layers = new Set<string>();
    const told = Promise.withResolvers<void>();
    const done = (async () => {
      for await (const { phase, descriptor } of pull(parts, ctx, request())) {
        if (phase === 'extracting' && descriptor !== undefined) layers.add(descriptor.digest);
        if (layers.size === tars.length) told.resolve();
      }
    })();
    done.catch(() => {});
    return { done, told: told.promise };
  }

  /** Two pulls in the middle of every layer, and what lets them go on. */
  async function twoInTheMiddle() {
    const { stack, seen, parts } = await watched();
    const released = Promise.withResolvers<void>();
    seen.hold = () => released.promise;
    const stops = [new AbortController(), new AbortController()];
    const pulls = [];
    for (const { signal } of stops) {
      const one = pulling(parts, within(stack.ctx, 'one', signal));
      await one.told;
      pulls.push(one.done);
    }
    const [first, second] = pulls;
    assert.equal(seen.applied, tars.length);
    return { stack, seen, parts, stops, first, second, release: released.resolve };
  }

  const leftIn = async (stack: Stack) => {
    const { leases, snapshots } = await inventory(stack);
    return { leases, snapshots: snapshots.length, underWay: stack.parts.extractions.size };
  };

  test('is applied once, whichever of them goes away meanwhile, at once; and its lease holds nothing that is needed', async () => {
    for (const leaver of [0, 1]) {
      const { stack, seen, stops, first, second, release } = await twoInTheMiddle();
      await using _ = stack;
      stops[leaver]?.abort();
      await assert.rejects(async () => (leaver === 0 ? first : second), { name: 'AbortError' });
      await stack.metadata.gc.collectNow();
      release();
      await (leaver === 0 ? second : first);
      assert.equal(seen.applied, tars.length);
      assert.deepEqual(await filesOf(stack, stack.ctx), ['a', 'c', 'd', 'd/b']);
      assert.deepEqual(await leftIn(stack), { leases: 0, snapshots: tars.length, underWay: 0 });
    }
  });

  test('is given up when the last one goes away: nothing stays, and the next one begins anew', async () => {
    const { stack, seen, parts, stops, first, second, release } = await twoInTheMiddle();
    await using _ = stack;
    for (const stop of stops) stop.abort();
    release();
    for (const one of [first, second]) await assert.rejects(async () => one, { name: 'AbortError' });
    assert.deepEqual(await leftIn(stack), { leases: 0, snapshots: 0, underWay: 0 });
    await pullQuietly(parts, stack.ctx, request());
    assert.equal(seen.applied, 2 * tars.length);
    assert.deepEqual(await filesOf(stack, stack.ctx), ['a', 'c', 'd', 'd/b']);
  });

  test('fails for all of them where it is malformed', async () => {
    const { stack, parts } = await watched();
    await using _ = stack;
    registry.addImage('x/bad', 'latest', [
      Buffer.from('no archive at all, long enough to be taken for one'.repeat(20)),
    ]);
    const bad = { reference: `${registry.host}/x/bad:latest`, unpack };
    const pulls = [1, 2, 3].map(() => pullQuietly(parts, stack.ctx, bad));
    for (const one of await Promise.allSettled(pulls)) {
      assert.equal(one.status, 'rejected');
      assert.match(String(one.reason), /failed to extract layer/);
    }
    assert.deepEqual(await leftIn(stack), { leases: 0, snapshots: 0, underWay: 0 });
  });
});

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { globSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { FindApplyTarget } from '../../src/snapshots/apply-target.ts';
import { withTempMount } from '../../src/sys/temp-mount.ts';
import type { TransferParts } from '../../src/transfer/parts.ts';
import { always, blobPart, digestOf, FlakyRegistry, tarOf } from '../kit/flaky-registry.ts';
import { until } from '../kit/until.ts';
import { inventory, openStack, pullQuietly, type Stack } from './stack.ts';

const unpack = [{ snapshotter: '', platform: { os: 'linux', architecture: 'amd64' } }];
/** Held back of a blob. */
const lastBytes = 1_000;
const pieceBytes = 2 ** 20;

let registry: FlakyRegistry;
let stack: Stack;
beforeEach(async () => {
  registry = await FlakyRegistry.start();
  stack = await openStack();
});
afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

/** An image of one layer, whose bytes do not shrink. */
function addLayer(megabytes: number) {
  const file = randomBytes(megabytes * 2 ** 20);
  const tar = tarOf({ file });
  registry.addImage('x/y', 'latest', [tar]);
  return { file, digest: digestOf(gzipSync(tar)) };
}

const run = (parts: TransferParts = stack.parts, signal = stack.ctx.signal) =>
  pullQuietly(parts, { ...stack.ctx, signal }, { reference: `${registry.host}/x/y:latest`, unpack });

/** Sends all of a blob but its end, until `release`. */
function heldBack(digest: string): { release(): void } {
  const held = Promise.withResolvers<void>();
  registry.scripts.push(
    always(new RegExp(digest), (request, response: ServerResponse) => {
      const { status, headers, bytes } = blobPart(request, registry.blobs.get(digest) ?? assert.fail());
      response.writeHead(status, headers).write(bytes.subarray(0, -lastBytes));
      void held.promise.then(() => response.end(bytes.subarray(-lastBytes)));
    }),
  );
  return { release: held.resolve };
}

/** Bytes of all files in snapshots. */
function snapshotBytes(): number {
  let bytes = 0;
  for (const path of globSync(join(stack.dir, 'overlayfs/snapshots/**')))
    bytes += statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return bytes;
}

/** The file of the layer as a container sees it. */
async function pulledFile(): Promise<Buffer> {
  const { snapshots } = await inventory(stack);
  const [name = assert.fail('no snapshot')] = snapshots;
  const snapshotter = stack.metadata.snapshotters.get('overlayfs') ?? assert.fail();
  const mounts = await snapshotter.view(stack.ctx, 'look', name);
  return await withTempMount(mounts, async (path) => readFileSync(join(path, 'file')));
}

/** Layers that are begun. */
function counting(): { readonly parts: TransferParts; readonly begun: () => number } {
  let begun = 0;
  const applyTarget: FindApplyTarget = (mounts) => {
    begun++;
    return stack.parts.applyTarget(mounts);
  };
  return { parts: { ...stack.parts, applyTarget }, begun: () => begun };
}

describe('a layer whose blob is still coming', () => {
  for (const [megabytes, way] of [
    [1.75, 'the event loop'],
    [9, 'a thread'],
  ] as const)
    test(`is applied to its last bytes before they are here, coming through ${way}`, async () => {
      const { file, digest } = addLayer(megabytes);
      const gate = heldBack(digest);
      const pulling = run();
      // It is inflated a piece at a time, and the last one ends with the stream.
      await until(() => snapshotBytes() > file.length - pieceBytes, 'all but the last piece');
      const { images, blobs, snapshots } = await inventory(stack);
      assert.deepEqual([images, blobs.includes(digest)], [[], false]);
      assert.deepEqual(
        snapshots.filter((name) => !name.startsWith('extract-')),
        [],
        'nothing of it is to be seen',
      );
      gate.release();
      await pulling;
      assert.deepEqual(await pulledFile(), file);
    });

  test('is applied again when the download had to begin again, and only then', async () => {
    const { file, digest } = addLayer(3);
    const other = gzipSync(tarOf({ file: randomBytes(3 << 20) }));
    const ref = `layer-${digest}`;
    const begin = await stack.metadata.content.writer(stack.ctx, { ref });
    await begin.write(other.subarray(0, 2 << 20));
    await begin[Symbol.asyncDispose]();
    const { parts, begun } = counting();
    const gate = heldBack(digest);
    const pulling = run(parts);
    await until(() => begun() === 1, 'its begin');
    gate.release();
    await pulling;
    assert.deepEqual(await pulledFile(), file);
    assert.deepEqual((await inventory(stack)).snapshots.length, 2, 'the layer and the view');
    assert.equal(begun(), 2);
  });

  test('leaves nothing when the pull is cancelled, not even an open file', async () => {
    const { digest } = addLayer(3);
    heldBack(digest);
    const stop = new AbortController();
    const pulling = run(stack.parts, stop.signal);
    pulling.catch(() => {});
    await until(() => snapshotBytes() > 2 << 20, 'two mebibytes');
    stop.abort();
    await assert.rejects(pulling);
    await stack.metadata.directories.get('overlayfs')?.settled();
    const { images, snapshots, leases, ingests } = await inventory(stack);
    assert.deepEqual([images, snapshots, leases, ingests], [[], [], 0, [`layer-${digest}`]]);
    assert.ok(snapshotBytes() < 1 << 20);
    assert.deepEqual(
      openFilesUnder(stack.dir).filter((path) => /ingest|layer\./.test(path)),
      [],
    );
  });

  test('waits for its end without holding up the layers that are here', async () => {
    const slow = Array.from({ length: 3 }, (_, i) => tarOf({ [`slow${i}`]: randomBytes(1.5 * pieceBytes) }));
    registry.addImage('x/y', 'latest', slow);
    const gates = slow.map((tar) => heldBack(digestOf(gzipSync(tar))));
    const pulling = run();
    await until(() => snapshotBytes() > pieceBytes, 'a piece');
    const quick = Array.from({ length: 4 }, (_, i) => tarOf({ [`quick${i}`]: 'x' }));
    registry.addImage('x/quick', 'latest', quick);
    await pullQuietly(stack.parts, stack.ctx, { reference: `${registry.host}/x/quick:latest`, unpack });
    for (const gate of gates) gate.release();
    await pulling;
  });
});

function openFilesUnder(dir: string): string[] {
  const links = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  return links.filter((path) => path.startsWith(dir));
}

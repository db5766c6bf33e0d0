import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { globSync, readdirSync, statSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { violations } from '../kit/checker.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { blobPart, digestOf, FlakyRegistry, firstTimes, tarOf } from '../kit/flaky-registry.ts';
import { bin } from '../kit/paths.ts';
import { output, run } from '../kit/run.ts';
import { settled } from './rest.ts';

/** Held back of the blob until the daemon is dead. */
const lastBytes = 1_000;
const pieceBytes = 2 ** 20;

const snapshotFiles = ({ root }: TestDaemon) => globSync(join(root, 'snapshots/*/{snapshots,trash}/*/**'));

function snapshotBytes(daemon: TestDaemon): number {
  const sizes = snapshotFiles(daemon).map((path) => statSync(path, { throwIfNoEntry: false })?.size ?? 0);
  return sizes.reduce((sum, size) => sum + size, 0);
}

test('a daemon killed with -9 while a layer is applied whose blob is still coming leaves nothing but the bytes to go on with', async () => {
  await using registry = await FlakyRegistry.start();
  await using daemon = await startDaemon();
  const options = { env: { BERTH_ADDRESS: daemon.address, DOCKER_CONFIG: daemon.dir } };
  const file = randomBytes(9 * 2 ** 20);
  const tar = tarOf({ file });
  registry.addImage('x/y', 'latest', [tar]);
  const digest = digestOf(gzipSync(tar));
  const askedFor = new RegExp(`GET .*${digest}`);
  registry.scripts.push(
    firstTimes(1, askedFor, (request, response: ServerResponse) => {
      const { status, headers, bytes } = blobPart(request, registry.blobs.get(digest) ?? assert.fail());
      response.writeHead(status, headers).write(bytes.subarray(0, -lastBytes));
    }),
  );
  const pull = ['pull', '-q', `${registry.host}/x/y:latest`];
  const first = run(bin('berth'), pull, options);
  while (snapshotBytes(daemon) < file.length - pieceBytes) await sleep(5);
  await daemon.stop('SIGKILL');
  assert.notEqual((await first).status, 0);

  await daemon.start();
  const found = () => [...violations(daemon.root, daemon.state), ...snapshotFiles(daemon)];
  assert.deepEqual(await settled(found), [], 'nothing of the layer');
  assert.equal(await output(bin('berth'), ['images', '-q'], options), '');

  await output(bin('berth'), pull, options);
  const ranges = registry.seen
    .filter(({ path }) => path.includes(digest))
    .map(({ headers }) => headers.range);
  assert.match(ranges.at(-1) ?? '', /^bytes=[1-9]/, 'what was there is not asked for again');
  assert.deepEqual(await settled(() => violations(daemon.root, daemon.state)), []);
  assert.deepEqual(readdirSync(join(daemon.root, 'content/ingest')), []);
  assert.equal((await run(bin('berth'), ['fsck'], options)).status, 0);
  await output(bin('berth'), ['rmi', `${registry.host}/x/y:latest`], options);
  assert.deepEqual(await settled(found), []);
});

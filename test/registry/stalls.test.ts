import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { daemonContext, silentLog } from '../../src/async/context.ts';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { fetchBlob } from '../../src/registry/blobs.ts';
import { Connections } from '../../src/registry/connections.ts';
import { resolve } from '../../src/registry/manifests.ts';
import { defaultRetry } from '../../src/registry/retry.ts';
import { RegistrySession } from '../../src/registry/session.ts';
import { blobPart, FlakyRegistry, firstTimes, tarOf } from '../kit/flaky-registry.ts';

const ctx = daemonContext(silentLog);
const retry = { ...defaultRetry, attempts: 3, baseMs: 1, capMs: 4 };
const bytes = randomBytes(300_000);
let registry: FlakyRegistry;
let connections: Connections;
let blob: Descriptor;
let image: Descriptor;
before(() => {
  connections = new Connections({ firstByteMs: 150, idleMs: 150 });
});
after(() => connections[Symbol.dispose]());
beforeEach(async () => {
  registry = await FlakyRegistry.start();
  blob = registry.addBlob(bytes);
  image = registry.addImage('a', 'latest', [tarOf({ a: 'a' })]);
});
afterEach(() => registry[Symbol.asyncDispose]());
const open = () => RegistrySession.open(parseReference(`${registry.host}/a:latest`), { connections, retry });
const download = async () => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of fetchBlob(ctx, await open(), blob)) chunks.push(chunk);
  return Buffer.concat(chunks);
};

test('a body that stands still is left, and goes on by Range over another connection', async () => {
  registry.scripts.push(
    firstTimes(2, /GET .*blobs/, (request, response) => {
      const part = blobPart(request, bytes);
      response.writeHead(part.status, part.headers).write(part.bytes.subarray(0, 100_000));
    }),
  );
  assert.deepEqual(await download(), bytes);
  const ranges = registry.seen.map(({ headers }) => headers.range);
  assert.deepEqual(ranges, [undefined, 'bytes=100000-', 'bytes=200000-']);
});

test('a registry that does not answer is asked again, so many times as the policy says', async () => {
  registry.scripts.push(firstTimes(2, /HEAD/, () => {}));
  assert.deepEqual((await resolve(ctx, await open())).descriptor, image);
  registry.scripts.push(firstTimes(retry.attempts, /HEAD/, () => {}));
  await assert.rejects(resolve(ctx, await open()), { kind: 'unavailable', message: /no answer in time/ });
});

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { daemonContext, silentLog } from '../../src/async/context.ts';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { fetchBlob } from '../../src/registry/blobs.ts';
import { Connections } from '../../src/registry/connections.ts';
import { defaultRetry } from '../../src/registry/retry.ts';
import { RegistrySession } from '../../src/registry/session.ts';
import { blobPart, FlakyRegistry, type Script, tarOf } from '../kit/flaky-registry.ts';
import { Gauge, throttled } from '../kit/throttle.ts';
import { openStack, pullQuietly } from './stack.ts';

const ctx = daemonContext(silentLog);
const retry = { ...defaultRetry, attempts: 4, baseMs: 1, capMs: 4 };
const mebibyte = 1024 * 1024;
const bytes = randomBytes(28 * mebibyte);
const hash = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');
const whole = hash(bytes);
const slow = 2 * mebibyte; // a second

let registry: FlakyRegistry;
let connections: Connections;
let blob: Descriptor;
before(() => {
  connections = new Connections();
});
after(() => connections[Symbol.dispose]());
beforeEach(async () => {
  registry = await FlakyRegistry.start();
  blob = registry.addBlob(bytes);
});
afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  using slots = new DisposableStack();
  for (let i = 0; i < 12; i++) slots.use(await connections.ranges.acquire(AbortSignal.timeout(1_000)));
});

const open = () =>
  RegistrySession.open(parseReference(`${registry.host}/a/b:latest`), { connections, retry });

async function download(session: RegistrySession, offset = 0): Promise<string> {
  const sum = createHash('sha256');
  for await (const chunk of fetchBlob(ctx, session, blob, offset)) sum.update(chunk);
  return sum.digest('hex');
}
const ranges = () => registry.seen.map(({ headers }) => headers.range).filter((range) => range !== undefined);
const isRange = (request: IncomingMessage) => /bytes=\d+-\d+/.test(request.headers.range ?? '');

describe('a registry that throttles each connection', () => {
  test('is asked for ranges side by side: more than three at a time, from the first byte to the last', async (t) => {
    const gauge = new Gauge();
    registry.scripts.push(throttled(registry, slow, gauge));
    const session = await open();
    const start = performance.now();
    assert.equal(await download(session), whole);
    const tookMs = performance.now() - start;
    t.diagnostic(`${((bytes.length / slow) * 1000) / tookMs} times as fast as one connection`);
    assert.ok(gauge.most >= 6, `${gauge.most} connections`);
    assert.ok(gauge.mean > 3, `${gauge.mean} connections on average`);
    assert.ok(session.doubtRanges(blob.digest));
    assert.ok(!session.doubtRanges(blob.digest));
  });

  test('gives a blob from where it is here already', async () => {
    registry.scripts.push(throttled(registry, slow));
    const offset = 3 * mebibyte + 17;
    assert.equal(await download(await open(), offset), hash(bytes.subarray(offset)));
    assert.ok(ranges().length > 4);
  });

  const lies: Record<string, (request: IncomingMessage, response: ServerResponse, n: number) => boolean> = {
    'ignores ranges': (_, response) =>
      !!response.writeHead(200, { 'content-length': bytes.length }).write(bytes.subarray(0, 1000)),
    'answers 416': (_, response) => !!response.writeHead(416).end(),
    'answers 429 to more than a few': (_, response, n) => n > 3 && !!response.writeHead(429).end(),
    'answers 503 after a while': (_, response, n) => n > 5 && !!response.writeHead(503).end(),
    'offers another range': (_, response) =>
      !!response.writeHead(206, { 'content-range': `bytes 0-9/${bytes.length}` }).end('0123456789'),
    'offers a range of another size': (request, response) => {
      const part = blobPart(request, bytes);
      const range = String((part.headers as Record<string, unknown>)['content-range']).replace(/\d+$/, '7');
      return !!response.writeHead(206, { 'content-range': range }).end(part.bytes);
    },
    'ends ranges early': (request, response, n) => {
      const part = blobPart(request, bytes);
      return n > 4 && !!response.writeHead(206, { ...part.headers, 'content-length': 7 }).end('1234567');
    },
    'drops connections': (request, _, n) => n % 3 === 0 && !!request.socket.destroy(),
    'has changed the blob': (request, response, n) => {
      const part = blobPart(request, bytes);
      return n > 2 && !!response.writeHead(206, { ...part.headers, etag: '"v2"' }).end(part.bytes);
    },
  };
  for (const [what, lie] of Object.entries(lies))
    test(`and ${what} is read all the same`, async () => {
      let n = 0;
      const script: Script = (request, response) => isRange(request) && lie(request, response, ++n);
      registry.scripts.push(script, throttled(registry, 10 * slow));
      assert.equal(await download(await open()), whole);
      assert.ok(n > 0);
    });

  test('and never answers the second connection is read by the first', async () => {
    registry.scripts.push(isRange, throttled(registry, 10 * slow));
    assert.equal(await download(await open()), whole);
  });

  test('is left at once when the reader leaves', async () => {
    const gauge = new Gauge();
    registry.scripts.push(throttled(registry, slow, gauge));
    let seen = 0;
    for await (const chunk of fetchBlob(ctx, await open(), blob)) {
      seen += chunk.byteLength;
      if (seen > 10 * mebibyte) break;
    }
    while (gauge.now > 0) await sleep(5);
    assert.ok(gauge.most > 2);
  });
});

test('a blob whose ranges were doubted comes by one connection', async () => {
  const gauge = new Gauge();
  registry.scripts.push(throttled(registry, 4 * slow, gauge));
  const session = await open();
  session.doubtRanges(blob.digest);
  assert.equal(await download(session), whole);
  assert.equal(gauge.most, 1);
});

test('several blobs at once share what is held in memory, and each comes whole', async () => {
  const gauge = new Gauge();
  registry.scripts.push(throttled(registry, 3 * slow, gauge));
  const sums = await Promise.all([1, 2, 3].map(async () => download(await open())));
  assert.deepEqual(new Set(sums), new Set([whole]));
  assert.ok(gauge.most <= 12 + 3, `${gauge.most}`);
});

test('wrong bytes in ranges are found out, and the layer is fetched once more by one connection', async () => {
  const image = registry.addImage('a/b', 'latest', [tarOf({ big: bytes })]);
  const spoil: Script = (request, response) => {
    const layer = registry.blobs.get(request.url?.split('/').at(-1) ?? '');
    if (!isRange(request) || layer === undefined) return false;
    const part = blobPart(request, layer);
    const spoilt = Buffer.from(part.bytes);
    spoilt[spoilt.length - 1] = (spoilt.at(-1) ?? 0) ^ 1;
    response.writeHead(part.status, part.headers).end(spoilt);
    return true;
  };
  registry.scripts.push(spoil, throttled(registry, 10 * slow));
  await using stack = await openStack();
  const reference = `${registry.host}/a/b:latest`;
  assert.equal((await pullQuietly(stack.parts, stack.ctx, { reference })).target.digest, image.digest);
  assert.ok(ranges().length > 0);
});

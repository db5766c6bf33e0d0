import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { type BerthClient, connect } from '../../src/client/index.ts';
import { StreamInitSchema, Streaming } from '../../src/gen/containerd/services/streaming/v1/streaming_pb.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { createClient, openChannel } from '../../src/rpc/grpc-client.ts';
import { always, FlakyRegistry, tarOf } from '../kit/flaky-registry.ts';
import { openFds } from '../kit/open-fds.ts';
import { top } from '../kit/paths.ts';
import { until } from '../kit/until.ts';
import { WatchedDaemon } from '../kit/watched-daemon.ts';

const mebibyte = 1 << 20;
const blobBytes = 128 * mebibyte;
const namespace = 'flow';

let daemon: WatchedDaemon;
let client: BerthClient;
let digest: Digest;
before(async () => {
  daemon = await WatchedDaemon.open();
  client = connect({ address: daemon.address, namespace });
  await using writer = await client.content.writer(client.context(), { ref: 'large' });
  const zeros = new Uint8Array(mebibyte);
  for (let written = 0; written < blobBytes; written += mebibyte) await writer.write(zeros);
  digest = await writer.commit({ labels: { 'containerd.io/gc.root': '1' } });
});
after(async () => {
  client.close();
  await daemon[Symbol.asyncDispose]();
});

const idle = () => until(async () => (await daemon.underWay()).length === 0, 'no call under way');

/** Others are served meanwhile: small calls, and the whole blob. */
async function serveOthers(): Promise<void> {
  using other = connect({ address: daemon.address, namespace });
  for (let n = 0; n < 200; n++) await other.version();
  let bytes = 0;
  const reader = await other.content.reader(other.context(), digest);
  for await (const chunk of reader.stream()) bytes += chunk.length;
  assert.equal(bytes, blobBytes);
}

/** Asserts that `work`, in which others are served, makes the daemon's peak at most so much higher than serving them does alone. */
async function holdsAtMost(bytes: number, work: () => Promise<unknown>): Promise<void> {
  const alone = await daemon.peakBytes(serveOthers);
  const more = (await daemon.peakBytes(work)) - alone;
  assert.ok(more <= bytes, `${Math.round(more / mebibyte)} MiB more`);
}

/** Begins a read, a subscription, an upload and a pull, cancels them when all are under way, and waits until the daemon has noticed. */
async function cancelEach(): Promise<void> {
  await using registry = await FlakyRegistry.start();
  registry.addImage('slow', 'x', [tarOf({ a: 'a' })]);
  let asked = false;
  const silent = always(/^GET .*\/blobs\//, () => {
    asked = true;
  });
  registry.scripts.push(silent);
  const { signal, ...stop } = cancellation();
  using own = connect({ address: daemon.address, namespace });
  const ctx = own.context({ signal });
  const blob = (await own.content.reader(ctx, digest)).stream()[Symbol.asyncIterator]();
  assert.ok((await blob.next()).value?.length);
  const events = own.events.subscribe({ signal })[Symbol.asyncIterator]();
  const upload = await own.content.writer(ctx, { ref: 'upload' });
  await upload.write(Buffer.from('half'));
  const pull = own.images.pull(`${registry.host}/slow:x`, { signal }).image();
  const over = Promise.allSettled([events.next(), pull]);
  const kinds = ['Read', 'Subscribe', 'Transfer', 'Write'];
  await until(async () => {
    const calls = await daemon.underWay();
    return asked && kinds.every((kind) => calls.includes(kind));
  }, 'all of them are under way');
  stop.cancel();
  await over;
  await idle();
}

test('a read, a subscription, an upload and a pull end when their client cancels them', async () => {
  await client.version();
  const before = openFds(daemon.pid);
  await cancelEach();
  await until(() => openFds(daemon.pid) <= before, 'descriptors are given back');
  assert.deepEqual(await client.leases.list(), []);
  await using again = await client.content.writer(client.context(), { ref: 'upload' });
  assert.equal(again.status.offset, 4);
});

function cancellation(): { signal: AbortSignal; cancel: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, cancel: () => controller.abort() };
}

test('downloads that their client does not read wait for it in bounded memory, while others are served', async () => {
  using slow = connect({ address: daemon.address, namespace });
  const { signal, cancel } = cancellation();
  await holdsAtMost(blobBytes, async () => {
    for (let n = 0; n < 8; n++) {
      const reader = await slow.content.reader(slow.context({ signal }), digest);
      assert.ok((await reader.stream()[Symbol.asyncIterator]().next()).value?.length);
    }
    await serveOthers();
    assert.deepEqual(await daemon.underWay(), Array(8).fill('Read'));
  });
  cancel();
  await idle();
});

test('downloads of a client that stopped with all windows open wait in bounded memory, until it is killed', async () => {
  const program = join(top, 'test/kit/read-and-stop.ts');
  let child: ChildProcess | undefined;
  try {
    await holdsAtMost(blobBytes, async () => {
      child = spawn(process.execPath, [program, daemon.address, namespace, digest, '8'], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const status = `/proc/${child.pid}/status`;
      await until(() => /^State:\s+T/m.test(readFileSync(status, 'utf8')), 'the client has stopped');
      await serveOthers();
      assert.deepEqual(await daemon.underWay(), Array(8).fill('Read'));
    });
  } finally {
    child?.kill('SIGKILL');
  }
  await idle();
});

test('what a client sends on a stream that nobody reads waits with the client', async () => {
  using channel = openChannel(daemon.address, { namespace });
  const init = {
    typeUrl: StreamInitSchema.typeName,
    value: toBinary(StreamInitSchema, create(StreamInitSchema, { id: 'unread' })),
  };
  const { signal, cancel } = cancellation();
  let sent = 0;
  async function* messages() {
    yield init;
    for (; sent < blobBytes; sent += 64 * 1024)
      yield { typeUrl: 'test.Bytes', value: new Uint8Array(64 * 1024) };
  }
  const answers = createClient(Streaming, channel).stream(messages(), { signal })[Symbol.asyncIterator]();
  await holdsAtMost(blobBytes, async () => {
    assert.equal((await answers.next()).done, false);
    await serveOthers();
    assert.ok(sent > 0 && sent < 16 * mebibyte, `${sent} bytes were taken`);
  });
  const over = answers.next().catch(() => {});
  cancel();
  await over;
  await idle();
});

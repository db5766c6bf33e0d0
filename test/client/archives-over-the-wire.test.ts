import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { type BerthClient, connect } from '../../src/client/index.ts';
import { TestContainerd } from '../kit/containerd.ts';
import { startDaemon } from '../kit/daemon.ts';
import { FlakyRegistry, tarOf } from '../kit/flaky-registry.ts';
import { until } from '../kit/until.ts';

/** Random, so that a chunk that is lost or comes twice is noticed. */
const layer = tarOf({ big: randomBytes(3_000_000) });
/** The stream's window: so much is sent without the reader having read. */
const windowBytes = 1024 * 1024;

async function pulled(client: BerthClient, registry: FlakyRegistry): Promise<string> {
  registry.addImage('x/y', 'latest', [layer]);
  const { name } = await client.images.pull(`${registry.host}/x/y:latest`).image();
  return name;
}

test('an archive comes whole to a reader who reads its end only when the daemon has long sent it', async () => {
  await using registry = await FlakyRegistry.start();
  await using daemon = await startDaemon();
  using client = connect({ address: daemon.address });
  const name = await pulled(client, registry);
  const whole = Buffer.concat(await Array.fromAsync(client.images.save([name])));
  const parts: Uint8Array[] = [];
  let readBytes = 0;
  for await (const part of client.images.save([name])) {
    parts.push(part);
    readBytes += part.byteLength;
    if (whole.length - readBytes > windowBytes / 4) continue;
    await until(async () => (await client.transfers.list()).length === 0, 'the end of the transfer');
  }
  assert.ok(Buffer.concat(parts).equals(whole));
});

test("containerd's archive comes whole, too, and Berth loads it", async () => {
  await using registry = await FlakyRegistry.start();
  await using daemon = await startDaemon();
  await using containerd = await new TestContainerd('2.3').start();
  using theirs = connect({ address: containerd.address });
  using ours = connect({ address: daemon.address });
  const name = await pulled(theirs, registry);
  const loaded = await ours.images.load(theirs.images.save([name]));
  assert.deepEqual(
    loaded.map((image) => image.name),
    [name],
  );
});

test('containerd keeps the streams of a transfer into a namespace that is new to it', async () => {
  await using registry = await FlakyRegistry.start();
  await using containerd = await new TestContainerd('2.3').start();
  using other = connect({ address: containerd.address, namespace: 'other' });
  const stop = new AbortController();
  const collecting = (async () => {
    while (!stop.signal.aborted) {
      const { id } = await other.leases.create();
      await other.leases.delete(id, { sync: true });
    }
  })();
  try {
    for (let n = 0; n < 20; n++) {
      using client = connect({ address: containerd.address, namespace: `new-${n}` });
      await pulled(client, registry);
    }
  } finally {
    stop.abort();
    await collecting;
  }
});

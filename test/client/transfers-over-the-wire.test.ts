import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { connect, isKind } from '../../src/client/index.ts';
import { startDaemon } from '../kit/daemon.ts';
import { always, FlakyRegistry, tarOf } from '../kit/flaky-registry.ts';

test('a pull is listed, watched by layer and speed, and cancelled within a second by another client', async () => {
  await using registry = await FlakyRegistry.start();
  const big = tarOf({ big: randomBytes(3_000_000) });
  registry.addImage('x/y', 'latest', [big, tarOf({ small: 'x' })]);
  const [layer, bytes] = [...registry.blobs].find(([, blob]) => blob.length > 1_000_000) ?? assert.fail();
  registry.scripts.push(
    always(new RegExp(layer), (_, response) => {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 1_000_000));
    }),
  );
  await using daemon = await startDaemon();
  const name = `${registry.host}/x/y:latest`;
  using puller = connect({ address: daemon.address });
  using other = connect({ address: daemon.address });
  using stranger = connect({ address: daemon.address, namespace: 'elsewhere' });
  const pulling = puller.images.pull(name).image();
  pulling.catch(() => {});
  for await (const state of other.transfers.watch()) {
    const at = state.objects.find(({ digest }) => digest === layer);
    if (at?.phase !== 'downloading' || at.doneBytes < 1_000_000) continue;
    assert.deepEqual(
      [state.verb, state.name, state.status, at.totalBytes],
      ['pull', name, 'running', bytes.length],
    );
    assert.ok(state.totalBytes > bytes.length && state.doneBytes < state.totalBytes);
    break;
  }
  assert.deepEqual(await stranger.transfers.list(), []);
  assert.equal((await stranger.transfers.list({ allNamespaces: true })).length, 1);
  const id = (await other.transfers.list())[0]?.id ?? assert.fail();
  await assert.rejects(stranger.transfers.cancel(id), (error) => isKind(error, 'not_found'));
  const watched = Array.fromAsync(other.transfers.watch({ id }));
  const start = performance.now();
  await other.transfers.cancel(id);
  await assert.rejects(pulling, /was cancelled/);
  assert.ok(performance.now() - start < 1000);
  assert.equal((await watched).at(-1)?.status, 'failed');
  assert.deepEqual(await other.transfers.list(), []);
  assert.deepEqual(await other.images.list(), []);
  assert.deepEqual(await other.leases.list(), []);
});

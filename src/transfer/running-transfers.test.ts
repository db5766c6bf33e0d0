import assert from 'node:assert/strict';
import { test } from 'node:test';
import { never } from '../async/never.ts';
import { parseDigest } from '../oci/digest.ts';
import { mediaTypes } from '../oci/media-types.ts';
import { Meter } from './meter.ts';
import type { TransferPhase } from './progress.ts';
import { RunningTransfer, type TransferState } from './running-transfer.ts';
import { RunningTransfers } from './running-transfers.ts';

const subject = { verb: 'pull', name: 'example.org/a:1', unpacks: true } as const;

function step(phase: TransferPhase, offset: number, digit = '1', total = 100) {
  const digest = parseDigest(`sha256:${digit.repeat(64)}`);
  const descriptor = { mediaType: mediaTypes.ociLayerGzip, digest, size: total };
  return { phase, name: `layer-${digest}`, descriptor, offset, total };
}

test('a meter knows the speed of the last seconds, and zero once nothing moves', () => {
  const meter = new Meter();
  for (let second = 0; second <= 10; second++) meter.note(second * 100, second * 1000);
  assert.equal(meter.perSecond(1000, 10_000), 100);
  assert.equal(meter.perSecond(1000, 15_000), 0);
  meter.note(4000, 16_000);
  assert.equal(meter.perSecond(5000, 17_000), 1000);
});

test('the bytes of a transfer are those of its objects, whatever is done to them', () => {
  const transfer = new RunningTransfer('pull-1', 'default', subject);
  transfer.see({ phase: 'resolving', name: 'example.org/a:1', offset: 0, total: 0 });
  for (const at of [step('waiting', 0), step('downloading', 40), step('exists', 100, '2')]) transfer.see(at);
  const { doneBytes, totalBytes, status, objects } = transfer.state();
  assert.deepEqual([doneBytes, totalBytes, status], [140, 200, 'running']);
  assert.deepEqual(
    objects.map(({ phase }) => phase),
    ['downloading', 'exists'],
  );
  transfer.see(step('complete', 100));
  transfer.see(step('extracting', 10));
  assert.equal(transfer.state().doneBytes, 200);
  transfer.end(new Error('no room'));
  assert.deepEqual(
    [transfer.state().status, transfer.state().error, transfer.state().etaMs],
    ['failed', 'no room', 0],
  );
});

test('a watcher of one transfer sees where it is, what comes and how it ends; others see it in its namespace only', async () => {
  const transfers = new RunningTransfers();
  const { transfer, changed, ended } = transfers.start('blue', subject);
  transfer.see(step('downloading', 10));
  assert.deepEqual(transfers.list({ namespace: 'red' }), []);
  assert.equal(transfers.list({ namespace: '' }).length, 1);
  const seen: TransferState[] = [];
  for await (const state of transfers.watch({ namespace: 'blue', id: transfer.id }, never)) {
    seen.push(state);
    if (seen.length === 1) {
      transfer.see(step('downloading', 20));
      changed();
      ended();
    }
  }
  assert.deepEqual(
    seen.map(({ doneBytes, status }) => [doneBytes, status]),
    [
      [10, 'running'],
      [20, 'done'],
    ],
  );
  assert.deepEqual(transfers.list({ namespace: '' }), []);
});

test('a watcher of all sees transfers begin and goes when told to', async () => {
  const transfers = new RunningTransfers();
  const stop = new AbortController();
  const steps = transfers.watch({ namespace: '' }, stop.signal);
  const first = steps.next();
  transfers.start('blue', subject);
  assert.equal((await first).value?.name, subject.name);
  const next = steps.next();
  stop.abort(new Error('enough'));
  await assert.rejects(next, /enough/);
});

test('a transfer is cancelled by its id in its namespace', async () => {
  const transfers = new RunningTransfers();
  const { transfer, signal } = transfers.start('blue', subject);
  assert.throws(() => transfers.cancel('red', transfer.id), { kind: 'not_found' });
  transfers.cancel('blue', transfer.id);
  assert.match(String(signal.reason), /pull of example.org\/a:1 was cancelled/);
  await assert.rejects(transfers.watch({ namespace: '', id: 'pull-99' }, never).next(), {
    kind: 'not_found',
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { ProgressSchema } from '../gen/containerd/types/transfer/transfer_pb.ts';
import { NamedStream } from './named-stream.ts';
import { ProgressSender } from './stream-progress.ts';

async function* nothing(): AsyncGenerator<never, void, void> {}

test('updates that replace each other keep the order of the last ones', async () => {
  const stream = new NamedStream('progress', nothing(), new AbortController().signal);
  const sender = new ProgressSender(stream);
  for (const event of ['extracting', 'extracted', 'extracting', 'extracted'])
    sender.send({ event, name: 'x' });
  await sender[Symbol.asyncDispose]();
  const seen = await Array.fromAsync(
    stream.outgoing(),
    ({ value }) => fromBinary(ProgressSchema, value).event,
  );
  assert.deepEqual(seen, ['extracting', 'extracted']);
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { WriteAction, WriteContentRequestSchema } from '../gen/containerd/services/content/v1/content_pb.ts';
import { decoder, encoder } from './codec.ts';

const encode = encoder(WriteContentRequestSchema);
const decode = decoder(WriteContentRequestSchema);

describe('codec', () => {
  for (const size of [0, 1, 16_383, 16_384, 1_000_000])
    it(`keeps a message with ${size} bytes of data`, () => {
      const data = new Uint8Array(size).map((_, i) => i);
      const init = { action: WriteAction.WRITE, ref: 'r', total: 5n, offset: 7n, data, labels: { a: 'b' } };
      for (const message of [init, create(WriteContentRequestSchema, init)]) {
        const before = toBinary(WriteContentRequestSchema, create(WriteContentRequestSchema, init));
        assert.deepEqual(
          decode(encode(message as MessageInitShape<typeof WriteContentRequestSchema>)),
          create(WriteContentRequestSchema, init),
        );
        assert.equal(encode(init).length, before.length);
        assert.equal(message.data.length, size);
      }
    });
});

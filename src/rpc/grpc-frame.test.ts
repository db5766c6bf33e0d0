import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { isKind } from '../errors/error.ts';
import { ReadContentResponseSchema } from '../gen/containerd/services/content/v1/content_pb.ts';
import { EncodedMessage } from './encoded-message.ts';
import { frameEncoder, MessageSplitter, parseEncoding } from './grpc-frame.ts';
import { inflate } from './grpc-inflate.ts';
import { httpRefusal, parseTimeout } from './grpc-request.ts';

describe('messages on the wire', () => {
  const prefix = (flag: number, length: number) => {
    const bytes = Buffer.alloc(5, flag);
    bytes.writeUInt32BE(length, 1);
    return bytes;
  };
  const frames = Buffer.concat([0, 1, 70_000].flatMap((size) => [prefix(0, size), Buffer.alloc(size, size)]));
  const encode = frameEncoder(ReadContentResponseSchema);

  it('stand behind a prefix with their length', () => {
    const data = new Uint8Array(300).fill(7);
    const message = toBinary(
      ReadContentResponseSchema,
      create(ReadContentResponseSchema, { offset: 9n, data }),
    );
    const framed = Buffer.concat([prefix(0, message.length), message]);
    assert.deepEqual(encode({ offset: 9n, data }), [framed]);
    assert.deepEqual(encode({}), [prefix(0, 0)]);
    const parts = [message.subarray(0, 100), message.subarray(100)];
    const [head, ...same] = encode(new EncodedMessage(parts));
    assert.deepEqual(head, prefix(0, message.length));
    assert.ok(same.every((part, at) => part === parts[at]));
    assert.deepEqual(encode(new EncodedMessage([])), [prefix(0, 0)]);
    const half = new Uint8Array(8 * 2 ** 20 + 1);
    assert.throws(
      () => encode(new EncodedMessage([half, half])),
      (error) => isKind(error, 'resource_exhausted'),
    );
  });

  it('come out as they went in, however they are cut', () => {
    for (const size of [1, 4, 5, 6, 7, 1000, frames.length]) {
      const splitter = new MessageSplitter();
      const found: number[] = [];
      for (let at = 0; at < frames.length; at += size)
        for (const { compressed, bytes } of splitter.push(frames.subarray(at, at + size))) {
          assert.equal(compressed, false);
          assert.ok(bytes.every((byte) => byte === (bytes.length & 255)));
          found.push(bytes.length);
        }
      assert.deepEqual(found, [0, 1, 70_000], `cut at ${size}`);
      assert.equal(splitter.partial, false);
    }
  });

  it('are refused by their prefix, before their bytes are held', () => {
    for (const [bytes, kind] of [
      [prefix(0, 16 * 2 ** 20 + 1), 'resource_exhausted'],
      [prefix(0, 0xffffffff), 'resource_exhausted'],
      [prefix(2, 1), 'internal'],
    ] as const)
      assert.throws(
        () => new MessageSplitter().push(bytes),
        (e) => isKind(e, kind),
      );
    assert.deepEqual(new MessageSplitter().push(prefix(0, 16 * 2 ** 20)), []);
    assert.throws(
      () => encode({ data: new Uint8Array(16 * 2 ** 20) }),
      (e) => isKind(e, 'resource_exhausted'),
    );
  });

  it('are inflated to 16 MiB at most (CVE-2024-37168)', async () => {
    const compressed = (bytes: Buffer) => ({ compressed: true, bytes: gzipSync(bytes) });
    assert.equal((await inflate(compressed(Buffer.from('abc')), 'gzip')).toString(), 'abc');
    const bomb = compressed(Buffer.alloc(16 * 2 ** 20 + 1));
    await assert.rejects(inflate(bomb, 'gzip'), (e) => isKind(e, 'resource_exhausted'));
    await assert.rejects(inflate(bomb, 'deflate'), (e) => isKind(e, 'internal'));
    await assert.rejects(inflate(bomb, 'identity'), (e) => isKind(e, 'internal'));
  });
});

describe('headers of a call', () => {
  it('say how long it may take, or are refused', () => {
    assert.equal(parseTimeout(undefined), undefined);
    for (const [value, ms] of [
      ['1H', 3_600_000],
      ['2M', 120_000],
      ['99999999S', 99_999_999_000],
      ['5m', 5],
      ['1500u', 1.5],
      ['0n', 0],
    ] as const)
      assert.equal(parseTimeout(value), ms);
    for (const bad of ['', '5', 'm', '-1S', '123456789S', '1 S', '1s'])
      assert.throws(
        () => parseTimeout(bad),
        (e) => isKind(e, 'internal'),
        bad,
      );
  });

  it('say what messages are compressed with, or are refused', () => {
    for (const name of [undefined, '', 'identity']) assert.equal(parseEncoding(name), 'identity');
    for (const name of ['gzip', 'deflate'] as const) assert.equal(parseEncoding(name), name);
    for (const name of ['br', 'GZIP', 'snappy', 'gzip, gzip'])
      assert.throws(
        () => parseEncoding(name),
        (e) => isKind(e, 'not_implemented'),
      );
  });

  it('show what is no gRPC call', () => {
    const call = (method: string, type?: string) =>
      httpRefusal({ ':method': method, ...(type === undefined ? {} : { 'content-type': type }) });
    for (const type of ['application/grpc', 'application/grpc+proto', 'application/grpc;charset=utf-8'])
      assert.equal(call('POST', type), undefined);
    for (const type of [undefined, 'text/html', 'application/grpc-web', 'application/json'])
      assert.equal(call('POST', type), 415);
    assert.equal(call('GET', 'application/grpc'), 405);
  });
});

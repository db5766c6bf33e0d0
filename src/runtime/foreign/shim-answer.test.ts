import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { kindOf, messageOf } from '../../errors/error.ts';
import { BootstrapResultSchema } from '../../gen/containerd/runtime/bootstrap/v1/bootstrap_pb.ts';
import { parseShimAnswer } from './shim-answer.ts';

const result = (init: MessageInitShape<typeof BootstrapResultSchema>) =>
  toBinary(BootstrapResultSchema, create(BootstrapResultSchema, init));
const path = '/run/containerd/s/0a1b';

for (const [what, output, version] of [
  ['a bare address (1.6)', Buffer.from(`unix://${path}\n`), 2],
  ['JSON (1.7 to 2.2)', Buffer.from(`{"version":3,"address":"unix://${path}","protocol":"ttrpc"}`), 3],
  ['protobuf (2.3)', result({ version: 3, address: `unix://${path}`, protocol: 'ttrpc' }), 3],
] as const)
  test(`a shim may answer with ${what}`, () => {
    assert.deepEqual(parseShimAnswer(output), { version, path });
  });

test('a shim may speak gRPC', () => {
  const answer = result({ version: 3, address: `unix://${path}`, protocol: 'GRPC' });
  assert.deepEqual(parseShimAnswer(answer), { version: 3, path, protocol: 'grpc' });
});

const hostile: readonly (readonly [string, Uint8Array, string, RegExp])[] = [
  ['nothing', new Uint8Array(), 'unknown', /printed no address: ""/],
  ['words', Buffer.from('panic: oops\n\x1b[2J'), 'unknown', /printed no address: "panic: oops \[2J"/],
  ['a megabyte of noise', Buffer.alloc(1 << 20, 'x'), 'unknown', /printed no address: "x{200}"/],
  ['JSON of another shape', Buffer.from('{"version":"3"}'), 'unknown', /printed no address/],
  [
    'a version of the future',
    result({ version: 9, address: `unix://${path}`, protocol: 'ttrpc' }),
    'not_implemented',
    /version \(9\)/,
  ],
  [
    'another protocol',
    result({ version: 3, address: `unix://${path}`, protocol: 'http' }),
    'not_implemented',
    /speaks "http"/,
  ],
  [
    'version 2 over gRPC',
    result({ version: 2, address: `unix://${path}`, protocol: 'grpc' }),
    'not_implemented',
    /version \(2\) over grpc/,
  ],
  ['a virtual socket', Buffer.from('vsock://3:1024'), 'not_implemented', /no unix:\/\/ path/],
  ['a relative path', Buffer.from('unix://run/x'), 'not_implemented', /no unix:\/\/ path/],
  ['a path too long', Buffer.from(`unix:///${'x'.repeat(120)}`), 'unknown', /no path of a socket/],
];
for (const [what, output, kind, words] of hostile)
  test(`${what} is refused as ${kind}`, () => {
    assert.throws(
      () => parseShimAnswer(output),
      (e) => kindOf(e) === kind && words.test(messageOf(e)),
    );
  });

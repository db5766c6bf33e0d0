import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { kindOf, messageOf } from '../errors/error.ts';
import { OptionsSchema } from '../gen/containerd/runc/v1/runc_pb.ts';
import { checkRuntime, namedRuntime } from './runtime-name.ts';

test('the default runtime may be named or not', () => {
  for (const name of ['', 'io.containerd.runc.v2']) assert.doesNotThrow(() => checkRuntime(name));
});

for (const [name, kind, words] of [
  ['nope', 'invalid_argument', /^invalid runtime name nope, correct runtime name/],
  ['nope.', 'invalid_argument', /^invalid runtime name nope\., /],
  ['io.containerd.nope.v1', 'not_found', /binary not installed "containerd-shim-nope-v1"/],
  ['/usr/bin/other', 'not_implemented', /\/usr\/bin\/other: shims of others/],
] as const)
  test(`runtime ${name} is ${kind} in containerd's words`, () => {
    assert.throws(
      () => checkRuntime(name),
      (e) => kindOf(e) === kind && words.test(messageOf(e)),
    );
  });

test('a name that is no shim is the program of an OCI runtime, as for nerdctl', () => {
  for (const program of ['crun', '/opt/bin/runc']) {
    const { runtime, runtimeOptions } = namedRuntime(program);
    assert.equal(runtime, 'io.containerd.runc.v2');
    assert.equal(fromBinary(OptionsSchema, runtimeOptions?.value ?? new Uint8Array()).binaryName, program);
  }
  for (const shim of ['', 'io.containerd.kata.v2', 'wtf.sbk.runj.v1'])
    assert.deepEqual(namedRuntime(shim), { runtime: shim, runtimeOptions: undefined });
});

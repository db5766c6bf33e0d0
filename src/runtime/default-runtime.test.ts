import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { OptionsSchema } from '../gen/containerd/runc/v1/runc_pb.ts';
import { runtimeProgram, withDefaultRuntime } from './default-runtime.ts';

const typeUrl = 'containerd.runc.v1.Options';
const anyOf = (init: { binaryName?: string; root?: string }) => ({
  typeUrl,
  value: toBinary(OptionsSchema, create(OptionsSchema, init)),
});

test('the configured OCI runtime is filled in where the caller names none, beside what it asks for', () => {
  const filled = withDefaultRuntime(anyOf({ root: '/r' }), 'crun');
  const { binaryName, root } = fromBinary(OptionsSchema, filled?.value ?? new Uint8Array());
  assert.deepEqual({ binaryName, root }, { binaryName: 'crun', root: '/r' });
  assert.equal(withDefaultRuntime(undefined, 'crun')?.typeUrl, typeUrl);
});

test("the caller's own runtime, options of another type, and no configuration are left alone", () => {
  const own = anyOf({ binaryName: 'runsc' });
  const other = { typeUrl: 'runtimeoptions.v1.Options', value: new Uint8Array([1]) };
  assert.equal(withDefaultRuntime(own, 'crun'), own);
  assert.equal(withDefaultRuntime(other, 'crun'), other);
  assert.equal(withDefaultRuntime(undefined, ''), undefined);
});

test('the program of a runtime is the one that its options name, else the configured one', () => {
  assert.equal(runtimeProgram(anyOf({ binaryName: 'runsc' }), 'crun'), 'runsc');
  assert.equal(runtimeProgram(anyOf({}), 'crun'), 'crun');
  assert.equal(runtimeProgram({ typeUrl: 'x', value: new Uint8Array([1]) }, 'crun'), 'crun');
  assert.equal(runtimeProgram(undefined, ''), '');
});

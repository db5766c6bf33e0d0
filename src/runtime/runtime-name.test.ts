import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fromBinary } from '@bufbuild/protobuf';
import { kindOf, messageOf } from '../errors/error.ts';
import { OptionsSchema } from '../gen/containerd/runc/v1/runc_pb.ts';
import { namedRuntime, shimProgramOf } from './runtime-name.ts';

const dir = mkdtempSync('/var/tmp/berth-runtime-name-');
const kata = join(dir, 'containerd-shim-kata-v2');
writeFileSync(kata, '');
after(() => rmSync(dir, { recursive: true }));
const programOf = (name: string, runtimes: Record<string, string> = {}) =>
  shimProgramOf(name, runtimes, `/nowhere:${dir}`);

test('berth-shim stands for the default runtime, named or not, and for its own launcher', () => {
  const launcher = fileURLToPath(new URL('../../bin/containerd-shim-berth-v2', import.meta.url));
  for (const name of ['', 'io.containerd.runc.v2', 'io.containerd.berth.v2', launcher])
    assert.equal(programOf(name), undefined, name);
});

test('a shim is found by its path, by its name in the search path, or where the configuration says', () => {
  assert.equal(programOf(kata), kata);
  assert.equal(programOf('io.containerd.kata.v2'), kata);
  assert.equal(programOf('io.containerd.runc.v2', { 'io.containerd.runc.v2': kata }), kata);
});

for (const [name, kind, words] of [
  ['nope', 'invalid_argument', /^invalid runtime name nope, correct runtime name/],
  ['nope.', 'invalid_argument', /^invalid runtime name nope\., /],
  ['a/b.c.v2', 'invalid_argument', /^invalid runtime name a\/b\.c\.v2, /],
  ['io.containerd.nope.v1', 'not_found', /binary not installed "containerd-shim-nope-v1"/],
  ['/nowhere/shim', 'not_found', /invalid custom binary path: stat \/nowhere\/shim/],
] as const)
  test(`runtime ${name} is ${kind} in containerd's words`, () => {
    assert.throws(
      () => programOf(name),
      (e) => kindOf(e) === kind && words.test(messageOf(e)),
    );
  });

test('a name that is no shim is the program of an OCI runtime, as for nerdctl', () => {
  for (const program of ['crun', '/opt/bin/runc']) {
    const { runtime, runtimeOptions } = namedRuntime(program);
    assert.equal(runtime, 'io.containerd.runc.v2');
    assert.equal(fromBinary(OptionsSchema, runtimeOptions?.value ?? new Uint8Array()).binaryName, program);
  }
  for (const shim of ['', 'io.containerd.kata.v2', 'wtf.sbk.runj.v1', '/usr/bin/containerd-shim-runc-v2'])
    assert.deepEqual(namedRuntime(shim), { runtime: shim, runtimeOptions: undefined });
});

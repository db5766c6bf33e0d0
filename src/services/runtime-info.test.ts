import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { type Context, silentLog } from '../async/context.ts';
import { isKind, messageOf } from '../errors/error.ts';
import { RuntimeInfoSchema, RuntimeRequestSchema } from '../gen/containerd/types/types_pb.ts';
import { runtimeInfo } from './runtime-info.ts';

const ctx: Context = {
  signal: new AbortController().signal,
  namespace: '',
  log: silentLog,
  caller: { kind: 'test' },
};
const plugin = { type: 'io.containerd.runtime.v2', id: 'task', platforms: [] };
const teller = (features: string) =>
  runtimeInfo(
    {
      features: async () => ({ program: 'of runc', features }),
      foreignInfo: async (name) => (name.startsWith('/') ? new Uint8Array([10, 1, 120]) : undefined),
    },
    '2.3.4',
    'r',
  );
const requestOf = (init: MessageInitShape<typeof RuntimeRequestSchema>) => ({
  typeUrl: 'containerd.types.RuntimeRequest',
  value: toBinary(RuntimeRequestSchema, create(RuntimeRequestSchema, init)),
});

test('a runtime is told with name, version, the options asked with, and its features byte for byte', async () => {
  const options = { typeUrl: 'containerd.runc.v1.Options', value: new Uint8Array([18, 1, 120]) };
  const extra = await teller('{"a": 1 }\n')(
    ctx,
    plugin,
    requestOf({ runtimePath: 'io.containerd.runc.v2', options }),
  );
  const info = fromBinary(RuntimeInfoSchema, extra?.value ?? new Uint8Array());
  assert.equal(extra?.typeUrl, 'containerd.types.RuntimeInfo');
  assert.deepEqual(
    [info.name, info.version?.version, info.version?.revision],
    ['io.containerd.runc.v2', '2.3.4', 'r'],
  );
  assert.deepEqual([info.options?.typeUrl, info.options?.value], [options.typeUrl, options.value]);
  assert.match(info.features?.typeUrl ?? '', /runtime-spec\/1\/features\/Features$/);
  assert.equal(Buffer.from(info.features?.value ?? []).toString(), '{"a": 1 }\n');
  assert.deepEqual(info.annotations, { 'berth/oci-runtime': 'of runc' });
});

test('a runtime that cannot tell its features has none', async () => {
  const extra = await teller('')(ctx, plugin, requestOf({ runtimePath: 'io.containerd.runc.v2' }));
  assert.equal(fromBinary(RuntimeInfoSchema, extra?.value ?? new Uint8Array()).features, undefined);
});

test("what another's shim says of itself is passed on byte for byte", async () => {
  const extra = await teller('')(ctx, plugin, requestOf({ runtimePath: '/bin/shim' }));
  assert.deepEqual([...(extra?.value ?? [])], [10, 1, 120]);
});

test('other plug-ins, and a runtime asked nothing, tell nothing more', async () => {
  assert.equal(await teller('')(ctx, plugin, undefined), undefined);
  assert.equal(await teller('')(ctx, { ...plugin, type: 'io.containerd.gc.v1' }, requestOf({})), undefined);
});

for (const [what, options] of Object.entries({
  'options of another type': { typeUrl: 'x.y', value: new Uint8Array() },
  'a request without a name': requestOf({}),
  'a request that is no protobuf': { ...requestOf({}), value: new Uint8Array([255]) },
}))
  test(`${what}: refused in containerd's words`, async () => {
    await assert.rejects(
      teller('')(ctx, plugin, options),
      (e) =>
        isKind(e, 'unknown') &&
        /^failed to (unmarshal plugin info Options|resolve runtime path): /.test(messageOf(e)),
    );
  });

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type Context, silentLog } from '../async/context.ts';
import type { Containers, NewContainerOfImage, WantedLogs } from '../containers/containers.ts';
import { CreateContainerRequestSchema, LogsRequestSchema } from '../gen/berth/v1/containers_pb.ts';
import { berthContainersService } from './berth-containers.ts';

const ctx: Context = {
  signal: new AbortController().signal,
  namespace: 'test',
  log: silentLog,
  caller: { kind: 'test' },
};

/** A service whose domain side only notes what it is asked. */
function service() {
  const created: NewContainerOfImage[] = [];
  const logged: WantedLogs[] = [];
  const containers = {
    async create(_: Context, wanted: NewContainerOfImage) {
      created.push(wanted);
      return { id: 'i', name: 'n', logUri: '' };
    },
    async *logs(_: Context, wanted: WantedLogs) {
      logged.push(wanted);
      yield { time: { seconds: 1n, nanos: 2 }, stream: 'stderr', data: Buffer.from('x'), partial: true };
    },
  } as unknown as Containers;
  const impl = berthContainersService(containers, { endSteps: async () => [] }).impl as {
    create(request: object, ctx: Context): Promise<object>;
    logs(request: object, ctx: Context): AsyncIterable<object>;
  };
  const ask = async (init: MessageInitShape<typeof CreateContainerRequestSchema>) =>
    impl.create(create(CreateContainerRequestSchema, init), ctx);
  const logs = (init: MessageInitShape<typeof LogsRequestSchema>) =>
    Array.fromAsync(impl.logs(create(LogsRequestSchema, init), ctx));
  return { created, logged, ask, logs };
}

test('a request becomes a wish in domain words, numbers included', async () => {
  const { created, ask } = service();
  const runtimeOptions = { typeUrl: 'x', value: new Uint8Array([1]) };
  await ask({ image: 'app', workdir: '/w', memoryBytes: 5n, cpuMillis: 6n, pidsLimit: 7n, runtimeOptions });
  const [wanted] = created;
  assert.deepEqual(
    [wanted?.workingDir, wanted?.memoryBytes, wanted?.cpuMillis, wanted?.pidsLimit],
    ['/w', 5, 6, 7],
  );
  assert.deepEqual(wanted?.runtimeOptions, runtimeOptions);
  assert.equal(wanted?.entrypoint, undefined);
});

test("an OCI runtime's program may stand for the runtime", async () => {
  const { created, ask } = service();
  await ask({ image: 'app', runtime: 'crun' });
  assert.equal(created[0]?.runtime, 'io.containerd.runc.v2');
  assert.match(String(Buffer.from(created[0]?.runtimeOptions?.value ?? [])), /crun/);
});

test('an entrypoint that is given empty is not one that is absent', async () => {
  const { created, ask } = service();
  await ask({ image: 'app', entrypoint: '' });
  assert.equal(created[0]?.entrypoint, '');
});

for (const bad of [{ memoryBytes: -1n }, { cpuMillis: 2n ** 60n }, { pidsLimit: -5n }])
  test(`${Object.keys(bad)[0]} ${Object.values(bad)[0]} is refused`, async () => {
    await assert.rejects(async () => service().ask({ image: 'app', ...bad }), { kind: 'invalid_argument' });
  });

test('log entries keep their nanoseconds, and a tail below -1 is refused', async () => {
  const { logs, logged } = service();
  const [entry] = await logs({ containerId: 'c', tail: -1n, since: { seconds: 3n, nanos: 4 } });
  assert.deepEqual(entry, {
    time: { seconds: 1n, nanos: 2 },
    stream: 'stderr',
    data: new Uint8Array([0x78]),
    partial: true,
  });
  assert.equal(logged[0]?.since?.nanos, 4);
  await assert.rejects(logs({ containerId: 'c', tail: -2n }), { kind: 'invalid_argument' });
});

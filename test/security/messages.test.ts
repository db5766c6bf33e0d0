import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { Metadata } from '@grpc/grpc-js';
import { connect } from '../../src/client/connect.ts';
import { isKind, kindOf } from '../../src/errors/error.ts';
import { Images } from '../../src/gen/containerd/services/images/v1/images_pb.ts';
import { type Channel, createClient, openChannel } from '../../src/rpc/grpc-client.ts';
import { violationsAtRest } from '../kit/checker.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { digestOf } from '../kit/flaky-registry.ts';
import { top } from '../kit/paths.ts';
import { compareTrees, readTree, type Tree } from '../kit/tree.ts';
import { callOnce, type Filling, filled } from './odd-messages.ts';

const services = await everyService();
let daemon: TestDaemon;
let channel: Channel;
let host: Tree;
before(async () => {
  daemon = await startDaemon();
  channel = openChannel(daemon.address, { namespace: 'odd' });
  host = readTree('/etc');
  using berth = connect({ address: daemon.address, namespace: 'odd' });
  await berth.containers.createRecord({ ...record, id: 'here' });
});
after(async () => {
  channel[Symbol.dispose]();
  await daemon[Symbol.asyncDispose]();
});

const record = {
  labels: {},
  image: '',
  runtime: { name: 'io.containerd.runc.v2', options: undefined },
  spec: { typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Spec', value: Buffer.from('{}') },
  snapshotter: '',
  snapshotKey: '',
  extensions: {},
  sandboxId: '',
};

/** Every service of the generated code that containerd or we have on a socket. */
async function everyService(): Promise<DescService[]> {
  const gen = join(top, 'src/gen');
  const files = readdirSync(gen, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /^(?:berth|containerd\/services)\/.*_pb\.ts$/.test(name),
  );
  const modules = await Promise.all(files.map((name) => import(join(gen, name)) as Promise<object>));
  return modules.flatMap((module) =>
    Object.values(module).filter((value): value is DescService => value?.kind === 'service'),
  );
}

const clientOf = (service: DescService) =>
  createClient(service, channel) as unknown as Readonly<Record<string, never>>;

/** What one call came to: ok, or the kind of its error. A wait without end is as good as an answer. */
async function outcome(method: DescMethod, message: unknown, options: object = {}): Promise<string> {
  const call = clientOf(method.parent)[method.localName] ?? assert.fail(method.name);
  try {
    return await callOnce(method, call, message, { deadlineMs: 1_000, ...options });
  } catch (error) {
    return isKind(error, 'unknown') || isKind(error, 'internal')
      ? `${kindOf(error)}: ${(error as Error).message}`
      : kindOf(error);
  }
}

const base: Filling = { text: '', number: 0n, bytes: new Uint8Array(), nested: true };
const fillings: Readonly<Record<string, Filling>> = {
  'nothing at all': { ...base, nested: false },
  'nested messages that are there and empty': base,
  'no nested messages, and names everywhere': { ...base, text: 'name', number: 1n, nested: false },
  'names everywhere': { ...base, text: 'name', number: 1n },
  'paths that climb': { ...base, text: '../../../../etc/berth-odd', number: 2n },
  'absolute paths': { ...base, text: '/etc/berth-odd', number: 3n },
  'two dots': { ...base, text: '..', number: -1n },
  'a NUL': { ...base, text: 'a\0b', number: 1n << 62n },
  'an option': { ...base, text: '--help', number: (1n << 63n) - 1n },
  'five thousand letters': { ...base, text: 'a'.repeat(5_000), number: -(1n << 63n) },
  'the names of prototypes': { ...base, text: '__proto__', number: 9n },
  'bytes that are no message': { ...base, text: 'name', number: 99n, bytes: Buffer.alloc(4_096, 0xff) },
  'a digest in form': { ...base, text: `sha256:${'a'.repeat(64)}`, number: 5n },
};

/** What gets a message past the first checks, to the container and the snapshotter that are there. */
const known = {
  snapshotter: 'overlayfs',
  containerId: 'here',
  digest: `sha256:${'a'.repeat(64)}`,
  filters: 'id==here',
  typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Spec',
};
const further = Object.fromEntries(
  Object.entries(fillings)
    .filter(([, { text }]) => text !== '')
    .map(([name, filling]) => [`${name}, in a message that is right otherwise`, { ...filling, known }]),
);

/** Answers of kind unknown that are containerd's, too. */
const asContainerd = /Mounts\/Activate unknown: mount failed|Transfer\/Transfer unknown: type with url/;

describe('CVE-2024-23650, CVE-2026-50163: every call of every service answers, and the daemon goes on, when sent', () => {
  for (const [name, filling] of Object.entries({ ...fillings, ...further }))
    test(name, async () => {
      const { pid } = daemon;
      const methods = services.flatMap((service) => service.methods);
      assert.ok(methods.length > 80, String(methods.length));
      const results = await Promise.all(
        methods.map(async (method) => {
          const result = await outcome(method, filled(method.input, filling));
          return `${method.parent.typeName}/${method.name} ${result}`;
        }),
      );
      assert.deepEqual(
        results.filter((line) => / (?:unknown|internal|unavailable)/.test(line) && !asContainerd.test(line)),
        [],
      );
      assert.equal(daemon.pid, pid);
      await assertUnharmed();
    });
});

async function assertUnharmed(): Promise<void> {
  assert.doesNotMatch(daemon.log(), /uncaught|unhandled/i);
  assert.deepEqual(compareTrees(readTree('/etc'), host), []);
  assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
  assert.deepEqual(readdirSync(daemon.dir).sort(), ['berthd.log', 'config.toml', 'root', 'state']);
}

const bytes: Readonly<Record<string, Buffer>> = {
  'bytes without meaning': Buffer.alloc(500, 0xff),
  'a length beyond the end': Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x61]),
  'a number where text belongs': Buffer.from([0x08, 0x01, 0x10, 0x01, 0x18, 0x01]),
  'a group that is not closed': Buffer.from([0x0b, 0x0b, 0x0b]),
  'a thousand groups in one another': Buffer.alloc(100_000, 0x0b),
  'text that is not UTF-8': Buffer.from([0x0a, 0x02, 0xc3, 0x28]),
};
for (const [name, body] of Object.entries(bytes))
  test(`CVE-2024-23650: every call answers to ${name}`, async () => {
    const { client } = channel.caller;
    const methods = services.flatMap((service) => service.methods);
    await Promise.all(
      methods.map(({ parent, name: method }) => {
        const { promise, resolve } = Promise.withResolvers<unknown>();
        const same = (value: Buffer): Buffer => value;
        const deadline = { deadline: Date.now() + 1_000 };
        const call = client.makeBidiStreamRequest(
          `/${parent.typeName}/${method}`,
          same,
          same,
          new Metadata(),
          deadline,
        );
        call.on('data', () => {}).on('error', resolve);
        call.on('end', () => resolve(undefined));
        call.end(body);
        return promise;
      }),
    );
    await assertUnharmed();
  });

const labels = JSON.parse(
  '{"__proto__":"a","constructor":"b","hasOwnProperty":"c","toString":"d"}',
) as Record<string, string>;

test('labels named as parts of prototypes come back from every store exactly as they were', async () => {
  using berth = connect({ address: daemon.address, namespace: 'proto' });
  const ctx = berth.context();
  const snapshots = berth.snapshotter('overlayfs');
  const bytes = Buffer.from('{}');
  const digest = digestOf(bytes);
  await using writer = await berth.content.writer(ctx, { ref: 'proto' });
  await writer.write(bytes);
  await writer.commit({ labels });
  const target = { mediaType: 'application/json', digest, size: 2n };
  const images = createClient(Images, channel);
  const stores: Readonly<Record<string, () => Promise<Readonly<Record<string, string>>>>> = {
    namespaces: async () => {
      await berth.namespaces.create('protospace', labels);
      return berth.namespaces.labels('protospace');
    },
    content: async () => (await berth.content.info(ctx, digest)).labels,
    images: async () => {
      await images.create({ image: { name: 'p', target, labels } }, { namespace: 'proto' });
      return (await images.get({ name: 'p' }, { namespace: 'proto' })).image?.labels ?? {};
    },
    leases: async () => {
      await berth.leases.create({ id: 'p', labels });
      return (await berth.leases.list()).find(({ id }) => id === 'p')?.labels ?? {};
    },
    snapshots: async () => {
      await snapshots.prepare(ctx, 'p', '', labels);
      return (await snapshots.stat(ctx, 'p')).labels;
    },
    containers: async () => {
      await berth.containers.createRecord({ ...record, id: 'p', labels });
      return (await berth.containers.get('p')).labels;
    },
  };
  for (const [name, roundTrip] of Object.entries(stores)) {
    const found = await roundTrip();
    for (const key of Object.keys(labels))
      assert.equal(Object.getOwnPropertyDescriptor(found, key)?.value, labels[key], `${name} ${key}`);
  }
  assert.equal(({} as Record<string, unknown>).a, undefined);
});

test('security.md §1.7: what one namespace has, another neither lists, reads, changes nor removes', async () => {
  const address = daemon.address;
  using owner = connect({ address, namespace: 'owner' });
  using thief = connect({ address, namespace: 'thief' });
  const [mine, theirs] = [owner.context(), thief.context()];
  const bytes = Buffer.from('belongs to the owner');
  await using writer = await owner.content.writer(mine, { ref: 'own' });
  await writer.write(bytes);
  const digest = await writer.commit({ labels: { 'containerd.io/gc.root': 'x' } });
  await owner.snapshotter().prepare(mine, 'own', '');
  await owner.containers.createRecord({ ...record, id: 'own' });
  await owner.leases.create({ id: 'own' });
  const images = createClient(Images, channel);
  const target = { mediaType: 'application/json', digest, size: BigInt(bytes.length) };
  await images.create({ image: { name: 'own', target } }, { namespace: 'owner' });
  const tries: Readonly<Record<string, () => Promise<unknown>>> = {
    'content info': () => thief.content.info(theirs, digest),
    'content reader': () => thief.content.reader(theirs, digest),
    'content delete': () => thief.content.delete(theirs, digest),
    'snapshot mounts': () => thief.snapshotter().mounts(theirs, 'own'),
    'snapshot on it': () => thief.snapshotter().prepare(theirs, 'new', 'own'),
    'snapshot remove': () => thief.snapshotter().remove(theirs, 'own'),
    'container get': () => thief.containers.get('own'),
    'container label': () => thief.containers.label('own', { a: 'b' }),
    'container remove': () => thief.containers.remove('own', { force: true }),
    'container logs': async () => {
      for await (const _ of thief.containers.logs('own'));
    },
    'task create': () => thief.tasks.create('own'),
    'lease delete': () => thief.leases.delete('own'),
    'lease resources': () => thief.leases.listResources('own'),
    'image get': () => images.get({ name: 'own' }, { namespace: 'thief' }),
    'image delete': () => images.delete({ name: 'own' }, { namespace: 'thief' }),
    'image of its content': () =>
      images
        .create({ image: { name: 'new', target } }, { namespace: 'thief' })
        .then(() => thief.content.info(theirs, digest)),
  };
  for (const [name, attempt] of Object.entries(tries))
    await assert.rejects(attempt, { kind: 'not_found' }, name);
  const lists = [
    thief.content.list(theirs),
    thief.snapshotter().list(theirs),
    thief.containers.list(),
    thief.leases.list(),
    thief.tasks.list(),
  ];
  for (const list of await Promise.all(lists)) assert.equal(list.length, 0);
  assert.equal((await owner.content.info(mine, digest)).digest, digest);
  assert.equal((await owner.containers.get('own')).id, 'own');
});

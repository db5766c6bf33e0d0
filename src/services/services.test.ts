import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { daemonContext, silentLog } from '../async/context.ts';
import { isKind, notFound } from '../errors/error.ts';
import { EventExchange } from '../events/exchange.ts';
import { makeEvent } from '../events/topics.ts';
import { Events } from '../gen/containerd/services/events/v1/events_pb.ts';
import { Introspection } from '../gen/containerd/services/introspection/v1/introspection_pb.ts';
import { Leases } from '../gen/containerd/services/leases/v1/leases_pb.ts';
import { Mounts } from '../gen/containerd/services/mounts/v1/mounts_pb.ts';
import { Namespaces } from '../gen/containerd/services/namespaces/v1/namespaces_pb.ts';
import { StreamInitSchema, Streaming } from '../gen/containerd/services/streaming/v1/streaming_pb.ts';
import { Version } from '../gen/containerd/services/version/v1/version_pb.ts';
import {
  DataSchema,
  ProgressSchema,
  WindowUpdateSchema,
} from '../gen/containerd/types/transfer/transfer_pb.ts';
import { Health } from '../gen/grpc/health/v1/health_pb.ts';
import type { LeaseStore } from '../metadata/lease-store.ts';
import type { NamespaceStore } from '../metadata/namespace-store.ts';
import { ByteSender, receiveBytes } from '../rpc/byte-stream.ts';
import { type Channel, createClient, openChannel } from '../rpc/grpc-client.ts';
import { GrpcServer } from '../rpc/grpc-server.ts';
import type { NamedStream } from '../rpc/named-stream.ts';
import { bindService } from '../rpc/service.ts';
import { ProgressSender } from '../rpc/stream-progress.ts';
import { Streams } from '../rpc/streams.ts';
import { listenUnix } from '../rpc/unix-listener.ts';
import { eventsService } from './events.ts';
import { healthService } from './health.ts';
import { introspectionService } from './introspection.ts';
import { leasesService } from './leases.ts';
import { namespacesService } from './namespaces.ts';
import { pluginTable } from './plugins.ts';
import { streamingService } from './streaming.ts';
import { versionService } from './version.ts';

const calls: unknown[][] = [];

interface StreamItemInit {
  typeUrl: string;
  value: Uint8Array<ArrayBuffer>;
}

const namespaceStore: NamespaceStore = {
  labels: async () => ({}),
  list: async () => [
    { name: 'default', labels: { a: '1' } },
    { name: 'moby', labels: {} },
  ],
  create: async (_ctx, namespace) => namespace,
  async update(_ctx, namespace, paths) {
    calls.push(['update', namespace.name, paths]);
    return namespace;
  },
  async delete(_ctx, name) {
    throw notFound(`namespace ${name}`);
  },
};

const leaseStore = {
  create: async (_ctx, { id = 'made-up', labels = {} }) => ({ id, labels, createdAt: new Date(1234) }),
  async delete(_ctx, id, options) {
    calls.push(['delete', id, options]);
  },
  async addResource(_ctx, id, resource) {
    calls.push(['add', id, resource.type, resource.id]);
  },
  listResources: async () => [{ id: 'sha256:a', type: 'content' }],
} as Partial<LeaseStore> as LeaseStore;

const plugins = pluginTable({
  platform: { os: 'linux', architecture: 'amd64' },
  root: '/var/lib/berth',
  state: '/run/berth',
  optPath: '/opt',
  snapshotters: [
    { name: 'overlayfs', root: '/var/lib/berth/snapshots/overlayfs', capabilities: ['rebase'] },
    { name: 'native', root: '/x', initError: notFound('kernel') },
  ],
});

describe('services over the wire', () => {
  const events = new EventExchange();
  const streams = new Streams();
  const draining = new AbortController();
  let dir: string;
  let server: GrpcServer;
  let listener: AsyncDisposable;
  let channel: Channel;

  before(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'berth-services-'));
    server = new GrpcServer([
      versionService('2.3.4', 'abc'),
      healthService(['containerd.services.version.v1.Version'], draining.signal),
      eventsService(events),
      namespacesService(namespaceStore),
      leasesService(leaseStore),
      streamingService(streams),
      introspectionService({ uuid: 'u', plugins: () => plugins, deprecations: () => [] }),
      bindService(Mounts, {}),
    ]);
    listener = await listenUnix(path.join(dir, 's'), (socket) => server.accept(socket));
    channel = openChannel(path.join(dir, 's'), { namespace: 'default' });
  });

  after(async () => {
    channel[Symbol.dispose]();
    await listener[Symbol.asyncDispose]();
    await server.close();
    await rm(dir, { recursive: true });
  });

  it('says its version', async () => {
    const { version, revision } = await createClient(Version, channel).version({});
    assert.deepEqual([version, revision], ['2.3.4', 'abc']);
  });

  it('lists plug-ins by filter, with platforms, exports and what failed', async () => {
    const client = createClient(Introspection, channel);
    const one = await client.plugins({ filters: ['type==io.containerd.runtime.v2'] });
    assert.deepEqual(
      one.plugins.map((plugin) => [plugin.id, plugin.platforms[0]?.os, plugin.exports.state]),
      [['task', 'linux', '/run/berth']],
    );
    const both = await client.plugins({ filters: ['type==io.containerd.snapshotter.v1'] });
    assert.deepEqual(
      both.plugins.map((plugin) => [plugin.id, plugin.initErr?.code]),
      [
        ['overlayfs', undefined],
        ['native', 5],
      ],
    );
    assert.ok((await client.plugins({})).plugins.length > 20);
    await assert.rejects(client.plugins({ filters: ['a=b'] }), /unsupported operator "=": invalid argument/);
  });

  it('answers what server it is and what a plug-in is', async () => {
    const client = createClient(Introspection, channel);
    const { uuid, pid, pidns } = await client.server({});
    assert.deepEqual([uuid, pid], ['u', BigInt(process.pid)]);
    assert.ok(pidns > 0n);
    const { plugin } = await client.pluginInfo({ type: 'io.containerd.content.v1', id: 'content' });
    assert.equal(plugin?.exports.root, '/var/lib/berth/content');
    await assert.rejects(client.pluginInfo({ type: 'a', id: 'b' }), (e) => isKind(e, 'not_found'));
  });

  it('gets absent namespaces, filters, and passes field paths on', async () => {
    const client = createClient(Namespaces, channel);
    assert.equal((await client.get({ name: 'never-made' })).namespace?.name, 'never-made');
    const some = await client.list({ filter: 'labels.a==1' });
    assert.deepEqual(
      some.namespaces.map(({ name }) => name),
      ['default'],
    );
    assert.equal((await client.list({})).namespaces.length, 2);
    await client.update({ namespace: { name: 'x' }, updateMask: { paths: ['labels.a'] } });
    assert.deepEqual(calls.at(-1), ['update', 'x', ['labels.a']]);
    await assert.rejects(client.create({}), (e) => isKind(e, 'invalid_argument'));
  });

  it('makes leases and their resources', async () => {
    const client = createClient(Leases, channel);
    const { lease } = await client.create({ id: 'l', labels: { a: 'b' } });
    assert.deepEqual([lease?.id, lease?.labels, lease?.createdAt?.seconds], ['l', { a: 'b' }, 1n]);
    await client.delete({ id: 'l', sync: true });
    assert.deepEqual(calls.at(-1), ['delete', 'l', { sync: true }]);
    await client.addResource({ id: 'l', resource: { id: 'sha256:a', type: 'content' } });
    assert.deepEqual(calls.at(-1), ['add', 'l', 'content', 'sha256:a']);
    assert.equal((await client.listResources({ id: 'l' })).resources[0]?.type, 'content');
    await assert.rejects(client.addResource({ id: 'l' }), (e) => isKind(e, 'invalid_argument'));
  });

  it('publishes, forwards and subscribes', async () => {
    const client = createClient(Events, channel);
    const controller = new AbortController();
    const stream = client.subscribe({ filters: ['topic~=|^/tasks/|'] }, { signal: controller.signal });
    const seen = stream[Symbol.asyncIterator]();
    const first = seen.next();
    while (events.subscribers === 0) await sleep(5);
    const { topic, event } = makeEvent('taskStart', { containerId: 'c', pid: 3 });
    const wire = { typeUrl: event.typeUrl, value: event.value as Uint8Array<ArrayBuffer> };
    await client.publish({ topic, event: wire });
    const published = (await first).value;
    assert.deepEqual([published?.namespace, published?.topic], ['default', topic]);
    assert.deepEqual(published?.event?.value, event.value);
    const timestamp = { seconds: 7n, nanos: 5_000_000 };
    await client.forward({ envelope: { timestamp, namespace: 'other', topic, event: wire } });
    assert.equal((await seen.next()).value?.timestamp?.seconds, 7n);
    controller.abort();
    await assert.rejects(seen.next(), { name: 'AbortError' });
    while (events.subscribers > 0) await sleep(5);
    await assert.rejects(client.publish({ topic, event: wire }, { namespace: '' }), (e) => {
      return (e as Error).message === 'failed publishing event: namespace is required: failed precondition';
    });
  });

  it('answers a method that is left out with UNIMPLEMENTED', async () => {
    await assert.rejects(createClient(Mounts, channel).activate({}), (e) => isKind(e, 'not_implemented'));
  });

  const init = (id: string): StreamItemInit => ({
    typeUrl: StreamInitSchema.typeName,
    value: toBinary(StreamInitSchema, create(StreamInitSchema, { id })),
  });

  /** Opens a stream like a client: returns the server's end and what the client's end needs. */
  async function openStream(id: string) {
    const pending: StreamItemInit[] = [init(id)];
    let wake = () => {};
    let ended = false;
    const requests = (async function* () {
      for (;;) {
        yield* pending.splice(0);
        if (ended) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    })();
    const replies = createClient(Streaming, channel).stream(requests)[Symbol.asyncIterator]();
    const ack = await replies.next();
    assert.equal(ack.value?.typeUrl, 'google.protobuf.Empty');
    const send = (item: StreamItemInit) => {
      pending.push(item);
      wake();
    };
    const end = () => {
      ended = true;
      wake();
    };
    const stream: NamedStream = streams.get(daemonContext(silentLog, 'default'), id);
    return { stream, replies, send, end };
  }

  it('keeps streams by namespace and name until they are closed', async () => {
    const { stream, replies, end } = await openStream('s1');
    assert.throws(() => streams.get(daemonContext(silentLog, 'other'), 's1'), /stream "s1"/);
    await assert.rejects(openStream('s1'), (e) => isKind(e, 'already_exists'));
    await stream.send({ typeUrl: 'x', value: Uint8Array.of(1) });
    assert.equal((await replies.next()).value?.typeUrl, 'x');
    stream.close();
    assert.equal((await replies.next()).done, true);
    end();
    while (streams.size > 0) await sleep(5);
    await assert.rejects(stream.send({ typeUrl: 'x', value: new Uint8Array() }), (e) =>
      isKind(e, 'unavailable'),
    );
  });

  it('refuses streams that are not named', async () => {
    const client = createClient(Streaming, channel);
    const broken = { typeUrl: StreamInitSchema.typeName, value: Uint8Array.of(0, 0) };
    for (const item of [
      init(''),
      init('x'.repeat(300)),
      { typeUrl: 'other', value: new Uint8Array() },
      broken,
    ]) {
      const requests = (async function* () {
        yield item;
      })();
      await assert.rejects(client.stream(requests)[Symbol.asyncIterator]().next(), (e) =>
        isKind(e, 'invalid_argument'),
      );
    }
  });

  it('forgets a stream whose client is gone', async () => {
    const { stream, replies, end } = await openStream('s2');
    await replies.return?.();
    end();
    while (streams.size > 0) await sleep(5);
    await assert.rejects(stream.send({ typeUrl: 'x', value: new Uint8Array() }), (e) => isKind(e, 'aborted'));
  });

  it('sends bytes as credit allows, in pieces of 32 KiB', async () => {
    const { stream, replies, send, end } = await openStream('bytes-out');
    const update = create(WindowUpdateSchema, { update: 65536 });
    const credit = { typeUrl: WindowUpdateSchema.typeName, value: toBinary(WindowUpdateSchema, update) };
    const sent = new ByteSender(stream).write(new Uint8Array(100_000)).finally(() => stream.close());
    send(credit);
    send(credit);
    const sizes: number[] = [];
    for (let item = await replies.next(); item.done !== true; item = await replies.next())
      sizes.push(fromBinary(DataSchema, item.value.value).data.length);
    assert.deepEqual(sizes, [32768, 32768, 32768, 1696]);
    await sent;
    end();
  });

  it('receives bytes and gives credit', async () => {
    const { stream, replies, send, end } = await openStream('bytes-in');
    const received = Array.fromAsync(receiveBytes(stream));
    const first = (await replies.next()).value;
    assert.equal(fromBinary(WindowUpdateSchema, first?.value ?? new Uint8Array()).update, 1024 * 1024);
    const data = create(DataSchema, { data: new Uint8Array(1000) });
    for (let n = 0; n < 600; n++) send({ typeUrl: DataSchema.typeName, value: toBinary(DataSchema, data) });
    assert.equal((await replies.next()).value?.typeUrl, WindowUpdateSchema.typeName);
    end();
    assert.deepEqual(
      (await received).map((chunk) => chunk.length),
      Array(600).fill(1000),
    );
  });

  it('sends the last progress of everything, and never makes the work wait', async () => {
    const { stream, replies, end } = await openStream('progress');
    const progress = new ProgressSender(stream);
    for (let i = 1; i <= 5000; i++) progress.send({ event: 'downloading', name: 'a', progress: BigInt(i) });
    progress.send({ event: 'complete', name: 'a' });
    const done = progress[Symbol.asyncDispose]();
    const seen: [string, bigint][] = [];
    for (let item = await replies.next(); item.done !== true; item = await replies.next()) {
      const { event, progress } = fromBinary(ProgressSchema, item.value.value);
      seen.push([event, progress]);
    }
    await done;
    end();
    assert.deepEqual(seen, [
      ['downloading', 5000n],
      ['complete', 0n],
    ]);
  });

  it('is serving until it drains', async () => {
    const client = createClient(Health, channel);
    assert.equal((await client.check({})).status, 1);
    assert.equal((await client.check({ service: 'containerd.services.version.v1.Version' })).status, 1);
    await assert.rejects(client.check({ service: 'nope' }), (e) => isKind(e, 'not_found'));
    const watch = client.watch({})[Symbol.asyncIterator]();
    assert.equal((await watch.next()).value?.status, 1);
    draining.abort();
    assert.equal((await watch.next()).value?.status, 2);
    await watch.return?.();
  });
});

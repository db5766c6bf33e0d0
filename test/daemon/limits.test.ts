import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type BerthClient, connect } from '../../src/client/index.ts';
import { isKind, kindOf, messageOf } from '../../src/errors/error.ts';
import { Containers } from '../../src/gen/containerd/services/containers/v1/containers_pb.ts';
import { type Channel, createClient, openChannel } from '../../src/rpc/grpc-client.ts';
import { TestContainerd } from '../kit/containerd.ts';
import { openFds } from '../kit/open-fds.ts';
import { until } from '../kit/until.ts';
import { WatchedDaemon } from '../kit/watched-daemon.ts';

const mebibyte = 1 << 20;
const namespace = 'limits';
const gcRoot = { 'containerd.io/gc.root': '1' };

let daemon: WatchedDaemon;
let client: BerthClient;
before(async () => {
  daemon = await WatchedDaemon.open();
  client = connect({ address: daemon.address, namespace });
});
after(async () => {
  client.close();
  await daemon[Symbol.asyncDispose]();
});

const idle = () => until(async () => (await daemon.underWay()).length === 0, 'no call under way');
const isExhausted = (error: unknown) => isKind(error, 'resource_exhausted');
const idsOf = (records: readonly { readonly id: string }[]): string[] => records.map(({ id }) => id);

/** A container's record with a spec of so many bytes. */
const record = (id: string, specBytes: number, labels: Readonly<Record<string, string>> = {}) => ({
  id,
  labels,
  image: 'example.io/none:latest',
  runtime: { name: 'io.containerd.runc.v2', options: undefined },
  spec: { typeUrl: 'test.Spec', value: new Uint8Array(specBytes) },
  snapshotter: '',
  snapshotKey: '',
  extensions: {},
  sandboxId: '',
});

/** What one of many clients does, over a connection of its own. */
async function callSeveralServices(n: number): Promise<void> {
  using own = connect({ address: daemon.address, namespace: `client-${n}` });
  const stop = new AbortController();
  const filters = [`namespace==client-${n}`];
  const events = own.events.subscribe({ filters, signal: stop.signal })[Symbol.asyncIterator]();
  const first = events.next();
  await until(async () => {
    await own.events.publish('/ready', { typeUrl: 'test.Nothing', value: new Uint8Array() });
    return (await Promise.race([first, undefined])) !== undefined;
  }, 'an event');
  assert.equal((await first).value?.namespace, `client-${n}`);
  assert.match((await own.version()).version, /^2\./);
  for (const id of ['a', 'b']) await own.containers.createRecord(record(id, 1000));
  assert.deepEqual(idsOf(await own.containers.list()), ['a', 'b']);
  assert.deepEqual((await own.containers.label('a', { n: `${n}` })).labels, { n: `${n}` });
  await assert.rejects(own.containers.get('c'), (error) => isKind(error, 'not_found'));
  await using writer = await own.content.writer(own.context(), { ref: 'r' });
  await writer.write(Buffer.from(`blob of ${n}`));
  await using reader = await own.content.reader(own.context(), await writer.commit({ labels: gcRoot }));
  assert.equal(Buffer.from(await reader.bytes(100)).toString(), `blob of ${n}`);
  const lease = await own.leases.create();
  assert.deepEqual(idsOf(await own.leases.list()), [lease.id]);
  stop.abort();
}

test('200 clients at once get their answers from several services, and nothing of them stays', async () => {
  await client.version();
  const before = openFds(daemon.pid);
  await Promise.all(Array.from({ length: 200 }, (_, n) => callSeveralServices(n)));
  await idle();
  await until(() => openFds(daemon.pid) <= before + 20, 'descriptors are given back');
});

describe('10,000 containers', () => {
  const ids = Array.from({ length: 10_000 }, (_, n) => `c${String(n).padStart(5, '0')}`);
  let channel: Channel;
  before(async () => {
    channel = openChannel(daemon.address, { namespace });
    for (let first = 0; first < ids.length; first += 250) {
      const half = first < 5000 ? '1' : '2';
      const batch = ids.slice(first, first + 250).map((id) => record(id, 2048, { half }));
      await Promise.all(batch.map((one) => client.containers.createRecord(one)));
    }
  });
  after(() => channel[Symbol.dispose]());

  test('are all in the stream, in order', async () => {
    assert.deepEqual(idsOf(await client.containers.list()), ids);
  });

  test('are too many for one message; half of them, below 16 MiB, all come', async () => {
    const service = createClient(Containers, channel);
    await assert.rejects(service.list({}), isExhausted);
    const { containers } = await service.list({ filters: ['labels.half==2'] });
    assert.deepEqual(idsOf(containers), ids.slice(5000));
  });

  test('are listed no further than their reader takes them, and no longer than it stays', async () => {
    const stop = new AbortController();
    const pages = createClient(Containers, channel).listStream({}, { signal: stop.signal });
    const first = await pages[Symbol.asyncIterator]().next();
    assert.equal(first.value?.container?.id, ids[0]);
    for (let n = 0; n < 20; n++) await client.version();
    assert.deepEqual(await daemon.underWay(), ['ListStream']);
    stop.abort();
    await idle();
  });
});

test('a list above 16 MiB is refused in the words of containerd, one below it is given', async () => {
  await using containerd = await new TestContainerd('2.3').start();
  const answer = async ({ address }: { readonly address: string }) => {
    using own = connect({ address, namespace: 'large' });
    using channel = openChannel(address, { namespace: 'large' });
    const service = createClient(Containers, channel);
    for (let n = 0; n < 15; n++) await own.containers.createRecord(record(`large-${n}`, mebibyte));
    assert.equal((await service.list({})).containers.length, 15);
    await own.containers.createRecord(record('large-15', mebibyte));
    const error = await service.list({}).then(
      () => undefined,
      (refusal: unknown) => refusal,
    );
    // Each has its own revision of the size: the times in the records are encoded in more or fewer bytes.
    return [kindOf(error), messageOf(error).replace(/\(\d{8} vs/, '(N vs')];
  };
  const [ours, theirs] = [await answer(daemon), await answer(containerd)];
  assert.deepEqual(ours, theirs);
  assert.equal(ours[0], 'resource_exhausted');
});

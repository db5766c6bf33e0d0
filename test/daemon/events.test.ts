import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BerthClient, connect } from '../../src/client/index.ts';
import { isKind } from '../../src/errors/error.ts';
import { maxQueuedEvents } from '../../src/events/subscriber-queue.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { bin } from '../kit/paths.ts';
import { run } from '../kit/run.ts';

let daemon: TestDaemon;
let client: BerthClient;
before(async () => {
  daemon = await startDaemon({ logLevel: 'info' });
  client = connect({ address: daemon.address, namespace: 'events' });
});
after(async () => {
  client.close();
  await daemon[Symbol.asyncDispose]();
});

const event = { typeUrl: 'test.Nothing', value: new Uint8Array() };

/** Publishes `count` events `/<prefix>/0` … on the daemon, 64 at a time. */
async function publish(prefix: string, count: number, using_ = client): Promise<void> {
  for (let first = 0; first < count; first += 64) {
    const batch = Array.from({ length: Math.min(64, count - first) }, (_, n) => `/${prefix}/${first + n}`);
    await Promise.all(batch.map((topic) => using_.events.publish(topic, event)));
  }
}

/** Topics of the next `count` events that match. */
async function topics(events: AsyncIterable<{ topic: string }>, count: number): Promise<string[]> {
  const seen: string[] = [];
  for await (const { topic } of events) if (seen.push(topic) === count) break;
  return seen;
}

const filterOf = (prefix: string) => [`topic~="^/${prefix}/"`];
const every = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `/${prefix}/${n}`);

test('10,000 events reach 10 subscribers and 2 followers: none is lost', async () => {
  const [count, all] = [10_000, new Set(every('many', 10_000))];
  const stop = new AbortController();
  const { signal } = stop;
  const filters = ['topic~="^/many/|^/ready"'];
  let ready = 0;
  const read = async (events: AsyncIterable<{ topic: string }>) => {
    const seen: string[] = [];
    for await (const { topic } of events) {
      if (topic === '/ready' && seen.length === 0 && !signal.aborted) ready++;
      else if (topic !== '/ready' && seen.push(topic) === count) break;
    }
    return seen;
  };
  const readers = [
    ...Array.from({ length: 10 }, () => read(client.events.subscribe({ filters, signal }))),
    ...Array.from({ length: 2 }, () => read(client.events.follow({ filters, signal }))),
  ];
  for (let told = 0; ready < readers.length; told = ready) {
    ready = told === ready ? 0 : ready;
    await client.events.publish('/ready', event);
    await sleep(20);
  }
  await publish('many', count);
  const seen = await Promise.all(readers);
  for (const one of seen) assert.deepEqual(new Set(one), all);
  for (const one of seen) assert.deepEqual(one, seen[0]);
});

test('a follower misses nothing over kill -9 of the daemon', async () => {
  const stop = new AbortController();
  const filters = filterOf('killed');
  const seen = topics(client.events.follow({ filters, since: new Date(), signal: stop.signal }), 400);
  await publish('killed', 200);
  await daemon.restart('SIGKILL');
  using other = connect({ address: daemon.address, namespace: 'events' });
  for (let n = 200; n < 400; n++) await other.events.publish(`/killed/${n}`, event);
  const before = (await seen).slice(0, 200).toSorted();
  assert.deepEqual(before, every('killed', 200).toSorted());
  assert.deepEqual((await seen).slice(200), every('killed', 400).slice(200));
});

test('what was acknowledged before kill -9 is there after it, by cursor', async () => {
  const { value: first } = await followFirst();
  const made = Array.from({ length: 100 }, (_, n) => client.namespaces.create(`made-${n}`).then(() => n));
  const acknowledged: number[] = [];
  for (const promise of made) void promise.then((n) => acknowledged.push(n)).catch(() => {});
  while (acknowledged.length < 20) await sleep(1);
  const known = [...acknowledged];
  await daemon.restart('SIGKILL');
  const there = (await client.namespaces.list()).filter(({ name }) => name.startsWith('made-'));
  const filters = ['topic=="/namespaces/create",event.name~="^made-"'];
  const events = client.events.follow({ filters, cursor: first?.cursor ?? '' });
  const told: string[] = [];
  for await (const { namespace } of events) if (told.push(namespace) === there.length) break;
  assert.deepEqual(told.toSorted(), there.map(({ name }) => name).toSorted());
  for (const n of known) assert.ok(told.includes(`made-${n}`), `made-${n} was acknowledged`);
});

/** An event and its cursor, to come back to. */
async function followFirst() {
  const events = client.events.follow({ filters: filterOf('first'), since: new Date(0) });
  await client.events.publish('/first/0', event);
  const first = await events[Symbol.asyncIterator]().next();
  await events[Symbol.asyncIterator]().return?.();
  return first;
}

test('1,000 subscribers see the same, and a slow one is told that it is too slow', {
  timeout: 120_000,
}, async () => {
  using slowClient = connect({ address: daemon.address, namespace: 'events' });
  const slow = slowClient.events.subscribe({ filters: filterOf('flood') })[Symbol.asyncIterator]();
  const first = slow.next();
  const stop = new AbortController();
  const allSeen = Promise.withResolvers<void>();
  let [ready, seen] = [0, 0];
  const subscribers = Array.from({ length: 1000 }, async () => {
    let isReady = false;
    for await (const { topic } of client.events.subscribe({
      filters: ['topic~="^/all/"'],
      signal: stop.signal,
    })) {
      if (topic.startsWith('/all/event')) {
        if (++seen === 20_000) allSeen.resolve();
      } else if (!isReady) {
        isReady = true;
        ready++;
      }
    }
  });
  const told = client.events.follow({
    filters: ['topic=="/all/ready"'],
    since: new Date(),
    signal: stop.signal,
  });
  const telling = told[Symbol.asyncIterator]();
  while (ready < 1000) {
    await client.events.publish('/all/ready', event);
    await telling.next();
  }
  for (let n = 0; n < 20; n++) await client.events.publish(`/all/event${n}`, event);
  await allSeen.promise;
  stop.abort();
  await Promise.all(subscribers);
  assert.equal(seen, 20_000);

  const large = { typeUrl: 'test.Large', value: new Uint8Array(256 * 1024) };
  for (let n = 0; n < maxQueuedEvents; n++) {
    await client.events.publish(`/flood/${n}`, large);
    if (n > 200 && daemon.log().includes('reads too slowly')) break;
    if (n > 600) break;
  }
  await first;
  await assert.rejects(
    async () => {
      for (;;) if ((await slow.next()).done) return;
    },
    (e) => isKind(e, 'resource_exhausted') && /reads too slowly/.test((e as Error).message),
  );
});

/** The first line of `berth events` with these words, as JSON. */
async function firstRow(...words: string[]): Promise<{ Topic: string; Cursor: string }> {
  const command = [bin('berth'), '--address', daemon.address, '-n', 'events', 'events', '--json', ...words];
  const script = 'read -r line < <(exec timeout 60 "$@" 2>/dev/null); kill $!; echo "$line"';
  const { stdout } = await run('bash', ['-c', script, 'bash', ...command]);
  return JSON.parse(stdout);
}

test('berth events --since begins in the past, and after a cursor', async () => {
  await client.events.publish('/cli/one', event);
  const first = await firstRow('--since', '10m', '-f', 'topic=="/cli/one"');
  assert.equal(first.Topic, '/cli/one');
  await client.events.publish('/cli/two', event);
  assert.equal((await firstRow('--since', first.Cursor, '-f', 'topic~=^/cli/')).Topic, '/cli/two');
});

import { setTimeout as sleep } from 'node:timers/promises';
import { Containers } from '../../src/gen/containerd/services/containers/v1/containers_pb.ts';
import { Events } from '../../src/gen/containerd/services/events/v1/events_pb.ts';
import { Version } from '../../src/gen/containerd/services/version/v1/version_pb.ts';
import { type Channel, createClient, openChannel } from '../../src/rpc/grpc-client.ts';
import type { Subject } from '../daemons.ts';
import { eightAtATime, type Lab, timedCtr } from '../lab.ts';
import { quantile, type Row, sideBySide } from '../stats.ts';

const sides = ['berth', 'containerd'] as const;
const namespace = 'bench-api';
const [containers, events, subscribers, callsPerSecond] = [1000, 10_000, 10, 5000] as const;
/** A runtime spec of ctr has about so many bytes. */
const specBytes = 6000;
const callsAtATime = 128;

/** What lists, many short calls and events cost. */
export async function* api(lab: Lab): AsyncGenerator<Row> {
  yield* lists(lab);
  yield* shortCalls(lab);
  yield* fanOut(lab);
}

async function* lists(lab: Lab): AsyncGenerator<Row> {
  const ids = Array.from({ length: containers }, (_, n) => `c${n}`);
  for (const side of sides) await makeRecords(lab[side], ids);
  try {
    const rounds = lab.quick ? 5 : 40;
    const goal = { most: 1.2 };
    const list = await sideBySide(rounds, async (side) => {
      using channel = openChannel(lab[side].address, { namespace });
      const client = createClient(Containers, channel);
      await client.get({ id: 'c0' });
      const start = performance.now();
      const answer = await client.list({});
      if (answer.containers.length !== containers) throw new Error(`${side} lists not all containers`);
      return performance.now() - start;
    });
    yield { figure: 'a list of 1,000 containers on an open connection', unit: 'ms', goal, ...list };
    const ctr = await sideBySide(rounds, (side) =>
      timedCtr(lab[side], '-n', namespace, 'containers', 'ls', '-q'),
    );
    yield { figure: '`ctr containers ls` of 1,000', unit: 'ms', goal, ...ctr };
  } finally {
    for (const side of sides) await removeRecords(lab[side], ids);
  }
}

async function makeRecords({ address }: Subject, ids: readonly string[]): Promise<void> {
  using channel = openChannel(address, { namespace });
  const client = createClient(Containers, channel);
  const spec = { typeUrl: 'types.containerd.io/bench', value: new Uint8Array(specBytes).fill(32) };
  const labels = { 'io.containerd.image.config.stop-signal': 'SIGTERM' };
  const runtime = { name: 'io.containerd.runc.v2' };
  await eightAtATime(ids, (id) => client.create({ container: { id, labels, runtime, spec } }));
}

async function removeRecords({ address }: Subject, ids: readonly string[]): Promise<void> {
  using channel = openChannel(address, { namespace });
  const client = createClient(Containers, channel);
  await eightAtATime(ids, (id) => client.delete({ id }).catch(() => {}));
}

/** So many calls a second as planned, or as many as are answered with 128 at a time. */
async function* shortCalls(lab: Lab): AsyncGenerator<Row> {
  const found = { berth: [] as Load[], containerd: [] as Load[] };
  for (let round = 0; round < (lab.quick ? 1 : 3); round++)
    for (const side of sides) found[side].push(await loadOf(lab[side], lab.quick ? 2 : 5));
  const what = `at ${callsPerSecond.toLocaleString('en')} short calls a second over 8 connections`;
  const row = (figure: string, unit: Row['unit'], of: (load: Load) => number): Row => ({
    figure,
    unit,
    berth: found.berth.map(of),
    containerd: found.containerd.map(of),
  });
  yield row(`answers a second, ${what}`, '', ({ reached }) => reached);
  yield row(`p50 ${what}`, 'ms', ({ times }) => quantile(times, 0.5));
  yield row(`p99 ${what}`, 'ms', ({ times }) => quantile(times, 0.99));
}

interface Load {
  /** Answers a second. */
  readonly reached: number;
  /** Milliseconds that each call took. */
  readonly times: readonly number[];
}

async function loadOf({ address }: Subject, seconds: number): Promise<Load> {
  using channels = new DisposableStack();
  const clients = Array.from({ length: 8 }, () => createClient(Version, channels.use(openChannel(address))));
  const call = async (n: number) => void (await clients[n % clients.length]?.version({}));
  for (let n = 0; n < 2000; n += 8) await Promise.all(clients.map((_, i) => call(i)));
  const [times, running]: [number[], Set<Promise<void>>] = [[], new Set()];
  const timed = async (n: number) => {
    const sent = performance.now();
    await call(n);
    times.push(performance.now() - sent);
  };
  const start = performance.now();
  const count = callsPerSecond * seconds;
  for (let n = 0; n < count; ) {
    if (running.size >= callsAtATime) await Promise.race(running);
    else if (performance.now() < start + (n * 1000) / callsPerSecond) await sleep(1);
    else {
      const one: Promise<void> = timed(n++).finally(() => running.delete(one));
      running.add(one);
    }
  }
  await Promise.all(running);
  return { reached: (count * 1000) / (performance.now() - start), times };
}

async function* fanOut(lab: Lab): AsyncGenerator<Row> {
  const lost: number[] = [];
  const times = await sideBySide(lab.quick ? 1 : 3, async (side) => {
    const { tookMs, missing } = await deliver(lab[side]);
    if (side === 'berth') lost.push(missing);
    return tookMs / 1000;
  });
  const what = '10,000 events to 10 subscribers';
  yield { figure: what, unit: 's', goal: { most: 1.5 }, ...times };
  yield { figure: `${what}: lost`, unit: '', goal: { limit: 0 }, berth: lost };
}

/** Publishes, 64 at a time, until the last subscriber has the last event, or 20 s after the last was published. */
async function deliver({ address }: Subject): Promise<{ tookMs: number; missing: number }> {
  using channels = new DisposableStack();
  const open = () => channels.use(openChannel(address, { namespace }));
  const publisher = createClient(Events, open());
  const publish = (topic: string) => publisher.publish({ topic, event: { typeUrl: 'bench.Event' } });
  const stop = new AbortController();
  const readers = Array.from({ length: subscribers }, () => new EventReader(open(), stop.signal));
  while (!readers.every(({ isReady }) => isReady)) {
    await publish('/bench-ready');
    await sleep(20);
  }
  const start = performance.now();
  for (let first = 0; first < events; first += 64) {
    const batch = Array.from({ length: Math.min(64, events - first) }, (_, n) => `/bench/e${first + n}`);
    await Promise.all(batch.map(publish));
  }
  await Promise.race([Promise.all(readers.map(({ all }) => all)), sleep(20_000)]);
  const tookMs = performance.now() - start;
  stop.abort();
  return { tookMs, missing: readers.reduce((sum, { seen }) => sum + events - seen.size, 0) };
}

/** One subscriber. */
class EventReader {
  readonly seen = new Set<string>();
  isReady = false;
  /** Resolves when it has all events, or can have no more. */
  readonly all: Promise<void>;

  constructor(channel: Channel, signal: AbortSignal) {
    this.all = this.#read(channel, signal).catch(() => {});
  }

  async #read(channel: Channel, signal: AbortSignal): Promise<void> {
    const filters = ['topic~="^/bench"'];
    for await (const { topic } of createClient(Events, channel).subscribe({ filters }, { signal })) {
      if (topic === '/bench-ready') this.isReady = true;
      else if (this.seen.add(topic).size === events) return;
    }
  }
}

import { isDeepStrictEqual } from 'node:util';
import { isKind } from '../../src/errors/error.ts';
import { Leases } from '../../src/gen/containerd/services/leases/v1/leases_pb.ts';
import { Namespaces } from '../../src/gen/containerd/services/namespaces/v1/namespaces_pb.ts';
import { Random } from '../chaos/random.ts';
import type { Explained } from './answers.ts';
import { isAvoided } from './avoided.ts';
import { type Answer, answerOf, type Call, type Maker } from './call.ts';
import { compositeCalls } from './calls/composite.ts';
import { contentCalls } from './calls/content.ts';
import { mountCalls } from './calls/mounts.ts';
import { containerCalls, imageCalls, leaseCalls, namespaceCalls, otherCalls } from './calls/records.ts';
import { runningCalls } from './calls/running.ts';
import { controllerCalls, sandboxCalls } from './calls/sandboxes.ts';
import { diffCalls, snapshotCalls } from './calls/snapshots.ts';
import { taskCalls } from './calls/tasks.ts';
import { eventCalls, transferCalls } from './calls/transfer.ts';
import { explanationOf } from './explained.ts';
import { mutate } from './mutate.ts';
import { eventsOf, Running } from './running.ts';
import { SeenEvents } from './seen-events.ts';
import type { Sides } from './sides.ts';
import { partsOf, stateOf } from './state.ts';
import { namesOf, World } from './world.ts';

const makers: readonly Maker[] = [
  ...containerCalls,
  ...imageCalls,
  ...leaseCalls,
  ...namespaceCalls,
  ...otherCalls,
  ...contentCalls,
  ...snapshotCalls,
  ...diffCalls,
  ...taskCalls,
  ...runningCalls,
  ...transferCalls,
  ...eventCalls,
  ...mountCalls,
  ...compositeCalls,
  ...sandboxCalls,
  ...controllerCalls,
];

/** One call that the two answered differently. */
export interface Difference {
  readonly number: number;
  readonly method: string;
  readonly call: Call;
  readonly berth: Answer;
  readonly containerd: Answer;
  readonly explained: Explained | undefined;
}

/** Where the events that the two sent to subscribers part. */
export interface EventDifference {
  /** The events came after the call of this number. */
  readonly after: number;
  readonly berth: readonly unknown[];
  readonly containerd: readonly unknown[];
}

/** How a sequence went. */
export interface Replayed {
  readonly differences: readonly Difference[];
  readonly eventDifferences: readonly EventDifference[];
  /** Calls by method. */
  readonly counts: ReadonlyMap<string, number>;
  /** Calls that both answered with OK. */
  readonly succeeded: number;
  readonly eventsSeen: number;
  /** What is recorded otherwise on the two sides, found after the call of this number. */
  readonly stateDifferences: readonly { readonly after: number; readonly parts: readonly string[] }[];
  /** Calls that containerd died of, and what Berth answered. */
  readonly crashes: readonly { readonly call: Call; readonly berth: Answer }[];
}

/** How a sequence is made. `perRound`: events and records are compared after so many calls; default 25. */
export interface Sequence {
  readonly seed: number;
  readonly calls: number;
  readonly perRound?: number;
  /** Told of every call, in order. */
  readonly onCall?: (number: number, call: Call, berth: Answer, containerd: Answer) => void;
}

/** Makes the same calls on both sides, one after the other, as the seed chooses them, and compares. */
export async function replay(sides: Sides, sequence: Sequence): Promise<Replayed> {
  const { seed, calls, perRound = 25 } = sequence;
  const replaying = new Replaying(sides, sequence);
  const world = new World(new Random(seed));
  await makeNamespaces(sides);
  for (let first = 0; first < calls; first += perRound)
    await replaying.round(world, first, Math.min(calls, first + perRound));
  return replaying;
}

class Replaying implements Replayed {
  readonly differences: Difference[] = [];
  readonly eventDifferences: EventDifference[] = [];
  readonly stateDifferences: { readonly after: number; readonly parts: readonly string[] }[] = [];
  readonly crashes: { readonly call: Call; readonly berth: Answer }[] = [];
  readonly counts = new Map<string, number>();
  succeeded = 0;
  eventsSeen = 0;
  readonly #sides: Sides;
  readonly #onCall: Sequence['onCall'];
  readonly #running = new Running();
  /** Parts of the state that are known to differ. */
  readonly #known = new Set<string>();

  constructor(sides: Sides, { onCall }: Sequence) {
    this.#sides = sides;
    this.#onCall = onCall;
  }

  /** The calls of these numbers, what subscribers saw of them, and what is recorded afterwards. */
  async round(world: World, first: number, end: number): Promise<void> {
    await using seen = await SeenEvents.open(this.#sides);
    const crashesBefore = this.crashes.length;
    for (let number = first; number < end; number++) {
      const call = nextCall(world, this.#running);
      await this.#make(number, call, seen, seen.delivered);
      this.counts.set(call.method, (this.counts.get(call.method) ?? 0) + 1);
    }
    await this.#compareState(first);
    if (this.crashes.length > crashesBefore) return;
    const parted = await seen.difference();
    this.eventsSeen += seen.count;
    if (parted !== undefined) this.eventDifferences.push({ after: first, ...parted });
  }

  /** `delivered`: what subscribers had seen before it. */
  async #make(number: number, call: Call, seen: SeenEvents, delivered: readonly number[]): Promise<void> {
    const [berth, containerd] = await onBoth(this.#sides, call);
    this.#onCall?.(number, call, berth, containerd);
    if (hasDied(containerd)) {
      await this.#sides.revive();
      this.#running.clear();
      this.crashes.push({ call, berth });
      return;
    }
    if (!isDeepStrictEqual(berth, containerd)) {
      const explained = explanationOf(call, berth, containerd);
      this.differences.push({ number, method: call.method, call, berth, containerd, explained });
    }
    if (containerd.code !== 0 || berth.code !== 0) return;
    this.succeeded++;
    await settle(this.#sides, call.method);
    for (const wait of this.#running.endedBy(call)) await this.#make(number, wait, seen, delivered);
    await seen.arrived(eventsOf(call), delivered);
  }

  async #compareState(after: number): Promise<void> {
    const [berth, containerd] = this.#sides.both;
    const parts = partsOf(await stateOf(berth), await stateOf(containerd));
    const fresh = parts.filter((part) => !this.#known.has(part));
    for (const part of fresh) this.#known.add(part);
    if (fresh.length > 0) this.stateDifferences.push({ after, parts: fresh });
  }
}

/** Brings both to the same state where a call leaves what is done at some time, or takes away what calls need. */
async function settle(sides: Sides, method: string): Promise<void> {
  if (method === 'Content.Delete') await collect(sides);
  if (method === 'Namespaces.Delete') await makeNamespaces(sides);
}

/** A call that fails leaves the namespace it named behind in containerd: all that calls name are there, always. */
async function makeNamespaces(sides: Sides): Promise<void> {
  for (const side of sides.both)
    for (const name of namesOf('namespace'))
      await Promise.resolve(side.methods(Namespaces).create?.({ namespace: { name } })).catch((error) => {
        if (!isKind(error, 'already_exists')) throw error;
      });
}

/** Until it is collected, containerd takes the bytes of a deleted blob for one of another namespace. */
async function collect(sides: Sides): Promise<void> {
  for (const side of sides.both) {
    const leases = side.methods(Leases);
    await leases.create?.({ id: 'collection' }, { namespace: 'marks' });
    await leases.delete?.({ id: 'collection', sync: true }, { namespace: 'marks' });
  }
}

async function onBoth(sides: Sides, call: Call): Promise<[berth: Answer, containerd: Answer]> {
  const [berth, containerd] = sides.both;
  return Promise.all([answerOf(berth, call), answerOf(containerd, call)]);
}

/** What grpc-js says when the process at the other end is gone. */
const hasDied = ({ code, text }: Answer): boolean => code === 14 && !text.includes('locked for');

function nextCall(world: World, running: Running): Call {
  const { random } = world;
  const { service, desc, make, perform } = weighted(world);
  const made = make(world);
  const at = random.between(0, made.length - 1);
  const requests = world.chance(0.3)
    ? made.map((request, n) => (n === at ? mutate(desc.input, request, random) : request))
    : made;
  const method = `${service.typeName.split('.').at(-1)}.${desc.name}`;
  const options = headers(world, method);
  const call = { method, service, desc, requests, options, perform };
  return isAvoided(call, running) ? nextCall(world, running) : call;
}

function headers(world: World, method: string): Call['options'] {
  const { random } = world;
  const namespace = world.chance(0.03) ? random.pick(['', 'a/b', 'x'.repeat(77)]) : undefined;
  const usual = world.chance(0.85) ? 'alpha' : world.name('namespace');
  return {
    namespace: namespace ?? usual,
    ...(method !== 'Transfer.Transfer' && world.chance(0.08) && { lease: world.name('lease') }),
  };
}

const total = makers.reduce((sum, { weight }) => sum + weight, 0);

function weighted(world: World): Maker {
  let rest = world.random.next() * total;
  for (const maker of makers) {
    rest -= maker.weight;
    if (rest < 0) return maker;
  }
  throw new Error('weights do not add up');
}

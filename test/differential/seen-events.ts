import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { decodeEvent } from '../../src/client/index.ts';
import { Events } from '../../src/gen/containerd/services/events/v1/events_pb.ts';
import type { Envelope } from '../../src/gen/containerd/types/types_pb.ts';
import type { Any } from '../../src/oci/any.ts';
import { normalise } from './normalise.ts';
import type { Side, Sides } from './sides.ts';

/** The topic that marks where reading starts and ends. */
const mark = { topic: '/test/mark', event: { typeUrl: 'test.Mark', value: new Uint8Array() } };

const longestArrivalMs = 10_000;

/** What a subscriber to everything sees on each side. */
export class SeenEvents implements AsyncDisposable {
  readonly #sides: Sides;
  readonly #seen: readonly Seen[][] = [[], []];
  readonly #marks = [0, 0];
  readonly #failures: unknown[] = [];
  readonly #arrivals = new EventEmitter();
  readonly #stop = new AbortController();
  readonly #reading: Promise<unknown>;

  private constructor(sides: Sides) {
    this.#sides = sides;
    this.#reading = Promise.all(sides.both.map((side, n) => this.#read(side, n)));
  }

  /** Subscribes on both sides; resolves when both deliver. */
  static async open(sides: Sides): Promise<SeenEvents> {
    const seen = new SeenEvents(sides);
    await seen.#marked(1);
    for (const events of seen.#seen) events.length = 0;
    return seen;
  }

  /** Events seen of the side that saw fewer. */
  get count(): number {
    return Math.min(...this.#seen.map(({ length }) => length));
  }

  /** From the first place on where the two saw different things, once everything has arrived. */
  async difference(): Promise<{ berth: unknown[]; containerd: unknown[] } | undefined> {
    await this.#marked(Math.max(...this.#marks) + 1);
    const [berth = [], containerd = []] = this.#seen.map(inOrder);
    for (let at = 0; at < Math.max(berth.length, containerd.length); at++)
      if (!isDeepStrictEqual(berth[at], containerd[at]))
        return { berth: berth.slice(at, at + 3), containerd: containerd.slice(at, at + 3) };
    return undefined;
  }

  /** How many each side has delivered. */
  get delivered(): readonly number[] {
    return this.#seen.map(({ length }) => length);
  }

  /** Resolves when each side has delivered these after `from`; what is not there after ten seconds is missing. */
  async arrived(expected: readonly ExpectedEvent[], from: readonly number[]): Promise<void> {
    const signal = AbortSignal.timeout(longestArrivalMs);
    const isHere = (events: readonly Seen[]): boolean =>
      expected.every((wanted) => events.some((event) => isMatch(event, wanted)));
    while (!this.#seen.every((events, n) => isHere(events.slice(from[n])))) {
      if (signal.aborted || this.#failures.length > 0) return;
      await once(this.#arrivals, 'arrival', { signal }).catch(() => undefined);
    }
  }

  /** Publishes marks until each side has delivered one more than before. */
  async #marked(count: number): Promise<void> {
    for (let tries = 0; this.#marks.some((marks) => marks < count); tries++) {
      if (this.#failures.length > 0) throw this.#failures[0];
      if (tries > 4000) throw new Error('a subscriber sees nothing');
      for (const [n, side] of this.#sides.both.entries())
        if ((this.#marks[n] ?? 0) < count) await side.methods(Events).publish?.(mark, { namespace: 'marks' });
      await sleep(5);
    }
  }

  async #read(side: Side, n: number): Promise<void> {
    const stream = side
      .methods(Events)
      .subscribe?.({}, { signal: this.#stop.signal }) as AsyncIterable<Envelope>;
    try {
      for await (const { namespace, topic, event } of stream) {
        if (topic === mark.topic) this.#marks[n] = (this.#marks[n] ?? 0) + 1;
        else
          this.#seen[n]?.push({
            namespace,
            topic,
            event: normalise(event && !isNothing(event) ? (decodeEvent(event) ?? event) : undefined, side),
          });
        this.#arrivals.emit('arrival');
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#failures.push(error);
      this.#arrivals.emit('arrival');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#reading;
  }
}

/** An event that was never given is delivered as an empty one; containerd delivers none. */
const isNothing = ({ typeUrl, value }: Any): boolean => typeUrl === '' && value.length === 0;

/** An event without what may differ. */
interface Seen {
  readonly namespace: string;
  readonly topic: string;
  readonly event: unknown;
}

/** An event that a call brings about. Its fields are those of the event. */
export interface ExpectedEvent {
  readonly namespace: string;
  readonly topic: string;
  readonly fields: Readonly<Record<string, string>>;
}

const isMatch = (seen: Seen, { namespace, topic, fields }: ExpectedEvent): boolean =>
  seen.namespace === namespace &&
  seen.topic === topic &&
  Object.entries(fields).every(([name, value]) => (seen.event as Record<string, unknown>)[name] === value);

/** A collection removes many things at once, in any order: neighbours among what it removes are sorted. */
function inOrder(events: readonly Seen[]): Seen[] {
  const sorted: Seen[] = [];
  for (const event of events) {
    const removed = removals.has(event.topic);
    let at = sorted.length;
    while (
      removed &&
      at > 0 &&
      removals.has(sorted[at - 1]?.topic ?? '') &&
      textOf(sorted[at - 1]) > textOf(event)
    )
      at--;
    sorted.splice(at, 0, event);
  }
  return sorted;
}

const removals = new Set(['/snapshot/remove', '/content/delete', '/images/delete']);
const textOf = (event: unknown): string => JSON.stringify(event);

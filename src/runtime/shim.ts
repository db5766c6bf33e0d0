import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Context, daemonContext, type Log } from '../async/context.ts';
import { isKind, messageOf } from '../errors/error.ts';
import type { Events } from '../events/events.ts';
import { Task } from '../gen/containerd/task/v3/task_pb.ts';
import type { TtrpcClient } from '../rpc/ttrpc-client.ts';
import { type ShimApi, shimClient } from '../rpc/ttrpc-shim.ts';
import { connectShim, type ShimLaunch, shimSocketPath } from './shim-launch.ts';
import type { TaskClient } from './task-caller.ts';

/** One live connection to the shim. */
export interface ShimConnection {
  readonly task: TaskClient;
  readonly api: ShimApi;
  readonly closed: Promise<void>;
}

/** How long one question for events stays open, and what the connection gets on top to answer it. */
const eventsWaitMs = 30_000;
const answerMs = 10_000;
const reconnectMs = 100;

/**
 * The daemon's end of berth-shim: connects, starts it when it is needed and not there, connects again when it goes
 * away, and passes its events on. Without containers, now or earlier, there is no shim: it would be half of an idle
 * daemon's memory. Events missed while the daemon was down come first, in order, each once.
 */
export class Shim implements AsyncDisposable {
  readonly #launch: ShimLaunch;
  readonly #events: Events;
  readonly #log: Log;
  readonly #onConnected: () => void;
  readonly #stop = new AbortController();
  /** Last event that was passed on. */
  #told = { journal: '', number: 0 };
  #isRightVersion = false;
  #client: TtrpcClient | undefined;
  #connecting: Promise<ShimConnection> | undefined;
  readonly #asked = Promise.withResolvers<void>();
  #isAsked = false;
  /** Settled once it is known whether something of an earlier daemon waits for a shim. */
  readonly #looked: Promise<void>;
  readonly #following: Promise<void>;

  /**
   * `onConnected`: called after each connection; by then the shim has taken over what an earlier one left.
   * `needed`: whether there is anything that a shim must take over at once.
   */
  constructor(
    launch: ShimLaunch,
    events: Events,
    log: Log,
    onConnected: () => void = () => {},
    needed: () => Promise<boolean> = async () => true,
  ) {
    this.#launch = launch;
    this.#events = events;
    this.#log = log;
    this.#onConnected = onConnected;
    this.#looked = this.#lookForTasks(needed);
    this.#following = this.#followWhenAsked();
  }

  /** The connection, made now where there is none. @throws unavailable */
  connection(): Promise<ShimConnection> {
    this.#ask();
    this.#connecting ??= this.#connect();
    return this.#connecting;
  }

  /** Whether there may be tasks, now or earlier: where not, whoever only looks for one need not start a shim. */
  async mayHaveTasks(): Promise<boolean> {
    await this.#looked;
    return this.#isAsked;
  }

  /** Whether it runs, or is being started. */
  isThere(): boolean {
    return this.#connecting !== undefined;
  }

  /** Lets go of the shim, which runs on. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#asked.resolve();
    this.#client?.close();
    await this.#following;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #ask(): void {
    this.#isAsked = true;
    this.#asked.resolve();
  }

  async #connect(): Promise<ShimConnection> {
    try {
      const client = await this.#connectRightVersion();
      if (this.#stop.signal.aborted) client.close();
      this.#client = client;
      const forget = () => {
        this.#connecting = undefined;
      };
      void client.closed.then(forget);
      this.#onConnected();
      return {
        task: client.service(Task),
        api: shimClient(client, eventsWaitMs + answerMs),
        closed: client.closed,
      };
    } catch (error) {
      this.#connecting = undefined;
      throw error;
    }
  }

  /** A shim of another version makes room for ours, once: its tasks do not notice. */
  async #connectRightVersion(): Promise<TtrpcClient> {
    const client = await connectShim(this.#launch);
    const { shimVersion } = this.#launch;
    if (shimVersion === undefined || this.#isRightVersion) return client;
    this.#isRightVersion = true;
    const ctx = daemonContext(this.#log, '', this.#stop.signal);
    const api = shimClient(client, answerMs * 2);
    const { version } = await api.info({}, ctx);
    if (version === shimVersion) return client;
    this.#log.info({ version, shimVersion }, 'shim of another version is replaced');
    try {
      await api.retire({}, ctx);
    } catch (error) {
      this.#log.warn({ version, error: messageOf(error) }, 'shim of another version stays');
      return client;
    }
    await client.closed;
    return connectShim(this.#launch);
  }

  async #lookForTasks(needed: () => Promise<boolean>): Promise<void> {
    if (existsSync(shimSocketPath(this.#launch.stateDir)) || (await needed())) this.#ask();
  }

  async #followWhenAsked(): Promise<void> {
    await this.#looked;
    await this.#asked.promise;
    await this.#follow();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#followConnection(await this.connection());
      } catch (error) {
        if (signal.aborted) return;
        this.#log.warn({ error: messageOf(error) }, 'lost the shim');
        await sleep(reconnectMs, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #followConnection({ api }: ShimConnection): Promise<void> {
    const ctx = daemonContext(this.#log, '', this.#stop.signal);
    let acknowledged = 0;
    while (!ctx.signal.aborted) acknowledged = await this.#passOn(api, acknowledged, ctx);
  }

  async #passOn(api: ShimApi, acknowledged: number, ctx: Context): Promise<number> {
    const { events, instance } = await api.events({ acknowledged, waitMs: eventsWaitMs }, ctx);
    if (instance !== this.#told.journal) this.#told = { journal: instance, number: 0 };
    for (const { number, namespace, topic, typeUrl, value, timestampMs } of events) {
      // A shim that was killed before it heard of the acknowledgement has its successor tell once more.
      if (number <= this.#told.number) continue;
      const event = { typeUrl, value: Buffer.from(value, 'base64') };
      try {
        await this.#events.forward({ timestamp: new Date(timestampMs), namespace, topic, event });
      } catch (error) {
        if (!isKind(error, 'invalid_argument')) throw error;
        this.#log.error({ error: messageOf(error), topic, namespace }, 'event of the shim refused');
      }
      this.#told.number = number;
    }
    return events.at(-1)?.number ?? acknowledged;
  }
}

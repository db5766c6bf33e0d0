import { setTimeout as sleep } from 'node:timers/promises';
import {
  createRegistry,
  fromBinary,
  isMessage,
  type JsonValue,
  type Message,
  toJson,
} from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { isKind } from '../errors/error.ts';
import type { Envelope } from '../events/events.ts';
import { Events as BerthEvents } from '../gen/berth/v1/events_pb.ts';
import { ContainerCreateSchema, file_containerd_events_events } from '../gen/containerd/events/events_pb.ts';
import { Events as EventsService } from '../gen/containerd/services/events/v1/events_pb.ts';
import { file_containerd_services_images_v1_images } from '../gen/containerd/services/images/v1/images_pb.ts';
import type { Envelope as WireEnvelope } from '../gen/containerd/types/types_pb.ts';
import type { Any } from '../oci/any.ts';
import { toAny, typeNameOf } from '../rpc/any.ts';
import type { CallOptions, Connection } from './connection.ts';
import { fromAny, toDate } from './convert.ts';

/** What happens in the daemon, in every namespace. */
export interface Events {
  /**
   * Events from now on that match any of `filters` (containerd's grammar over namespace, topic, event.*; none = all).
   * Ends without an error when `signal` fires or the loop is left. @throws invalid_argument, unavailable
   */
  subscribe(options?: { filters?: readonly string[]; signal?: AbortSignal }): AsyncIterable<Envelope>;
  /**
   * As {@link subscribe}, with a cursor on each event: events after `cursor`, or from `since` on, as far as the daemon
   * keeps them, then those that happen. None is missed over a lost connection: it is made again, for as long as it takes.
   * Berth's daemon only. @throws out_of_range (`cursor` is too old, or of another daemon), invalid_argument, unavailable (at the start)
   */
  follow(options?: FollowOptions): AsyncIterable<FollowedEvent>;
  /** @throws invalid_argument (topic) */
  publish(topic: string, event: Any, options?: CallOptions): Promise<void>;
}

/** Where to begin; neither `cursor` nor `since` means now. */
export interface FollowOptions {
  readonly filters?: readonly string[];
  /** Of the last event that was seen. */
  readonly cursor?: string;
  readonly since?: Date;
  readonly signal?: AbortSignal;
}

/** An event, and what to come back with for the next one. */
export interface FollowedEvent extends Envelope {
  readonly cursor: string;
}

const registry = createRegistry(file_containerd_events_events, file_containerd_services_images_v1_images);

/** The fields of an event as JSON; undefined for a type that is not one of containerd's events. */
export function decodeEvent(event: Any): JsonValue | undefined {
  const schema = registry.getMessage(typeNameOf(event.typeUrl));
  if (schema === undefined) return undefined;
  const message = fromBinary(schema, event.value);
  const foreign = takeForeignOptions(message);
  const json = toJson(schema, message, { registry });
  return foreign === undefined ? json : { ...(json as object), ...foreign };
}

/** A runtime's options are of any type, its own perhaps: those are shown as bytes, and taken out of the message. */
function takeForeignOptions(message: Message): { runtime: JsonValue } | undefined {
  if (!isMessage(message, ContainerCreateSchema)) return undefined;
  const { name = '', options } = message.runtime ?? {};
  if (options === undefined || registry.getMessage(typeNameOf(options.typeUrl)) !== undefined)
    return undefined;
  delete message.runtime;
  const value = Buffer.from(options.value).toString('base64');
  return { runtime: { name, options: { '@type': options.typeUrl, value } } };
}

async function* subscribe(
  connection: Connection,
  filters: readonly string[],
  signal: AbortSignal | undefined,
): AsyncGenerator<Envelope, void, void> {
  const stopped = () => signal?.aborted === true;
  if (stopped()) return;
  const calls = connection.service(EventsService);
  try {
    for await (const wire of calls.subscribe({ filters: [...filters] }, connection.stream({ signal }))) {
      yield fromWire(wire);
    }
  } catch (error) {
    if (!stopped()) throw error;
  }
}

const fromWire = ({ timestamp, namespace, topic, event }: WireEnvelope): Envelope => ({
  timestamp: toDate(timestamp),
  namespace,
  topic,
  event: fromAny(event) ?? { typeUrl: '', value: new Uint8Array() },
});

/** Pauses between attempts to reach the daemon again. */
const firstPauseMs = 50;
const maxPauseMs = 2000;

async function* follow(
  connection: Connection,
  { filters = [], since, signal, ...options }: FollowOptions,
): AsyncGenerator<FollowedEvent, void, void> {
  const calls = connection.service(BerthEvents);
  let at = options.cursor ?? '';
  let reached = false;
  for (let pauseMs = firstPauseMs; signal?.aborted !== true; ) {
    const start = at === '' && since !== undefined ? { since: timestampFromDate(since) } : { cursor: at };
    try {
      for await (const { cursor, envelope } of calls.follow(
        { filters: [...filters], ...start },
        connection.stream({ signal }),
      )) {
        [at, reached, pauseMs] = [cursor, true, firstPauseMs];
        if (envelope !== undefined) yield { ...fromWire(envelope), cursor };
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (!reached || !isKind(error, 'unavailable')) throw error;
    }
    await sleep(pauseMs, undefined, { ...(signal && { signal }) }).catch(() => {});
    pauseMs = Math.min(pauseMs * 2, maxPauseMs);
  }
}

/** The daemon's events. */
export function remoteEvents(connection: Connection): Events {
  return {
    subscribe: (options = {}) => subscribe(connection, options.filters ?? [], options.signal),
    follow: (options = {}) => follow(connection, options),
    async publish(topic, event, options) {
      const service = connection.service(EventsService);
      await service.publish({ topic, event: toAny(event) }, connection.unary(options));
    },
  };
}

import {
  createRegistry,
  fromBinary,
  isMessage,
  type JsonValue,
  type Message,
  toJson,
} from '@bufbuild/protobuf';
import type { Envelope } from '../events/events.ts';
import { ContainerCreateSchema, file_containerd_events_events } from '../gen/containerd/events/events_pb.ts';
import { Events as EventsService } from '../gen/containerd/services/events/v1/events_pb.ts';
import { file_containerd_services_images_v1_images } from '../gen/containerd/services/images/v1/images_pb.ts';
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
  /** @throws invalid_argument (topic) */
  publish(topic: string, event: Any, options?: CallOptions): Promise<void>;
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
      yield {
        timestamp: toDate(wire.timestamp),
        namespace: wire.namespace,
        topic: wire.topic,
        event: fromAny(wire.event) ?? { typeUrl: '', value: new Uint8Array() },
      };
    }
  } catch (error) {
    if (!stopped()) throw error;
  }
}

/** The daemon's events. */
export function remoteEvents(connection: Connection): Events {
  return {
    subscribe: (options = {}) => subscribe(connection, options.filters ?? [], options.signal),
    async publish(topic, event, options) {
      const service = connection.service(EventsService);
      await service.publish({ topic, event: toAny(event) }, connection.unary(options));
    },
  };
}

import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { invalidArgument } from '../errors/error.ts';
import type { Envelope, Events } from '../events/events.ts';
import { Events as EventsService } from '../gen/containerd/services/events/v1/events_pb.ts';
import type { Any } from '../oci/any.ts';
import { toAny } from '../rpc/any.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { fromTimestamp, toTimestamp } from './wire.ts';

/** The Events service. Subscribers see all namespaces unless a filter says otherwise. */
export function eventsService(events: Events): ServiceBinding {
  return bindService(EventsService, {
    async publish({ topic, event }, ctx) {
      await events.publish(ctx, topic, event ?? nothing);
      return {};
    },
    async forward({ envelope }) {
      await events.forward(fromWire(envelope));
      return {};
    },
    async *subscribe({ filters }, ctx) {
      for await (const envelope of events.subscribe(filters, ctx.signal)) yield toWire(envelope);
    },
  });
}

export const toWire = ({ timestamp, namespace, topic, event }: Envelope) => ({
  timestamp: toTimestamp(timestamp),
  namespace,
  topic,
  event: toAny(event),
});

const nothing: Any = { typeUrl: '', value: new Uint8Array() };

interface WireEnvelope {
  readonly timestamp?: Timestamp | undefined;
  readonly namespace: string;
  readonly topic: string;
  readonly event?: Any | undefined;
}

/** What a shim forwards, over either protocol; without an event an empty one, as in containerd. @throws invalid_argument */
export function fromWire(envelope: WireEnvelope | undefined): Envelope {
  if (envelope === undefined) throw invalidArgument('envelope must be set');
  const { timestamp, namespace, topic, event = nothing } = envelope;
  return { timestamp: fromTimestamp(timestamp), namespace, topic, event };
}

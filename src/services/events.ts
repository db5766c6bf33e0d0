import { invalidArgument } from '../errors/error.ts';
import type { Envelope, Events } from '../events/events.ts';
import { Events as EventsService } from '../gen/containerd/services/events/v1/events_pb.ts';
import { toAny } from '../rpc/any.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { fromTimestamp, toTimestamp } from './wire.ts';

/** The Events service. Subscribers see all namespaces unless a filter says otherwise. */
export function eventsService(events: Events): ServiceBinding {
  return bindService(EventsService, {
    async publish({ topic, event }, ctx) {
      if (event === undefined) throw invalidArgument('event must be set');
      events.publish(ctx, topic, event);
      return {};
    },
    async forward({ envelope }) {
      if (envelope?.event === undefined) throw invalidArgument('envelope with an event must be set');
      const { timestamp, namespace, topic, event } = envelope;
      events.forward({ timestamp: fromTimestamp(timestamp), namespace, topic, event });
      return {};
    },
    async *subscribe({ filters }, ctx) {
      for await (const envelope of events.subscribe(filters, ctx.signal)) yield toWire(envelope);
    },
  });
}

const toWire = ({ timestamp, namespace, topic, event }: Envelope) => ({
  timestamp: toTimestamp(timestamp),
  namespace,
  topic,
  event: toAny(event),
});

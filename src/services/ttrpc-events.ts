import type { Events } from '../events/events.ts';
import { Events as TtrpcEvents } from '../gen/containerd/services/events/ttrpc/v1/ttrpc_pb.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { fromWire } from './events.ts';

/** What shims of others call back on the daemon's ttrpc socket: their events, passed on as they are. */
export function ttrpcEventsService(events: Events): ServiceBinding {
  return bindService(TtrpcEvents, {
    async forward({ envelope }) {
      await events.forward(fromWire(envelope));
      return {};
    },
  });
}

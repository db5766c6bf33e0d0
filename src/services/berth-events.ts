import { envelopeFields } from '../events/envelope-fields.ts';
import { compileFilters } from '../events/filters.ts';
import type { EventJournal } from '../events/journal.ts';
import { Events } from '../gen/berth/v1/events_pb.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { toWire } from './events.ts';
import { fromTimestamp } from './wire.ts';

/** Berth's Events service: containerd's events with a cursor, out of the journal. */
export function berthEventsService(journal: EventJournal): ServiceBinding {
  return bindService(Events, {
    async *follow({ filters, cursor, since }, ctx) {
      const matches = compileFilters(filters);
      const position = journal.positionOf({ cursor, since: since && fromTimestamp(since) });
      yield { cursor: journal.cursorOf(position) };
      for await (const event of journal.follow(position, ctx.signal))
        if (matches(envelopeFields(event)))
          yield { cursor: journal.cursorOf(event.id), envelope: toWire(event) };
    },
  });
}

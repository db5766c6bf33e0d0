import type { Context } from '../async/context.ts';
import { messageOf } from '../errors/error.ts';
import type { Events } from './events.ts';
import type { TopicEvent } from './topics.ts';

/** Publishes where nobody waits until it is recorded: a failure is logged. Never throws. */
export function announce(events: Events, ctx: Context, { topic, event }: TopicEvent): void {
  const failed = (error: unknown) =>
    ctx.log.error({ error: messageOf(error), topic }, 'event could not be published');
  void events.publish(ctx, topic, event).catch(failed);
}

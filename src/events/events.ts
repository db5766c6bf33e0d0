import type { Context } from '../async/context.ts';
import type { Any } from '../oci/any.ts';

/** One event: what happened (`event`), to what kind of thing (`topic`, e.g. `/tasks/exit`), where and when. */
export interface Envelope {
  readonly timestamp: Date;
  readonly namespace: string;
  readonly topic: string;
  readonly event: Any;
}

/**
 * The daemon's events. What is published or forwarded is recorded first, where there is a journal, and delivered in that
 * order. Queues are in memory and bounded: a subscriber whose queue is full is ended with resource_exhausted rather than
 * slowing anybody. Publish after the change is committed, never before.
 */
export interface Events {
  /** Resolves when it is recorded. @throws failed_precondition (no namespace), invalid_argument (topic not `/a/b`, longer than 128) */
  publish(ctx: Context, topic: string, event: Any): Promise<void>;
  /** Passes on an envelope made elsewhere (a shim); resolves when it is recorded. @throws invalid_argument */
  forward(envelope: Envelope): Promise<void>;
  /** Gives a recorded event to the subscribers. Never throws. */
  deliver(envelope: Envelope): void;
  /** Every event of every namespace that matches any of `filters` (none = all) until `signal` fires. @throws invalid_argument */
  subscribe(filters: readonly string[], signal: AbortSignal): AsyncIterable<Envelope>;
}

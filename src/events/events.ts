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
 * The daemon's events. Delivery is in order per publisher, in memory, and bounded: a subscriber whose queue is full
 * is ended with resource_exhausted rather than slowing anybody. Publish after the change is committed, never before.
 */
export interface Events {
  /** @throws failed_precondition (no namespace), invalid_argument (topic not `/a/b`, longer than 128) */
  publish(ctx: Context, topic: string, event: Any): void;
  /** Passes on an envelope made elsewhere (a shim). @throws invalid_argument */
  forward(envelope: Envelope): void;
  /** Every event of every namespace that matches any of `filters` (none = all) until `signal` fires. @throws invalid_argument */
  subscribe(filters: readonly string[], signal: AbortSignal): AsyncIterable<Envelope>;
}

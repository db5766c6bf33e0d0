import type { Envelope } from './events.ts';

/** An event on disk. Later ones have greater numbers; some numbers are never used. */
export interface RecordedEvent extends Envelope {
  readonly id: number;
}

/** Where to begin: after the event of a cursor, or with the events from a moment on. Neither: those from now on. */
export interface Start {
  readonly cursor?: string | undefined;
  readonly since?: Date | undefined;
}

/** Every event of the daemon on disk, bounded by number, bytes and age: the oldest go first. */
export interface EventJournal {
  /** Records an event by itself; resolves when it survives kill -9 and was delivered. @throws resource_exhausted (disk) */
  append(envelope: Envelope): Promise<void>;
  /** Text that stands for an event: whoever comes back with it gets the next one. */
  cursorOf(id: number): string;
  /** Number of the event before the first that a follower wants. @throws invalid_argument, out_of_range (cursor) */
  positionOf(start: Start): number;
  /**
   * Events after `position`, then those that happen, until `signal` fires. Reads as its caller takes them, so a slow
   * one costs nothing. @throws out_of_range once what it wants next is not kept any more
   */
  follow(position: number, signal: AbortSignal): AsyncIterable<RecordedEvent>;
}

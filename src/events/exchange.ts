import type { Context } from '../async/context.ts';
import { identifierFault } from '../async/identifier.ts';
import { failedPrecondition, invalidArgument, wrap } from '../errors/error.ts';
import type { Any } from '../oci/any.ts';
import { envelopeFields } from './envelope-fields.ts';
import type { Envelope, Events } from './events.ts';
import { type Adapt, compileFilters, type Filter } from './filters.ts';
import type { EventJournal } from './journal.ts';
import { KeptEvents, keyOf } from './kept-events.ts';
import { SubscriberQueue } from './subscriber-queue.ts';

interface Subscriber {
  readonly key: string;
  readonly matches: Filter | undefined;
  readonly queue: SubscriberQueue;
}

const maxTopicLength = 128;

/** gRPC clients try again after 120 s at the latest; docker after three. */
const returnsMs = 120_000;

/** The daemon's events: each goes to every matching subscriber's own queue, in the order published. */
export class EventExchange implements Events {
  readonly #subscribers = new Set<Subscriber>();
  #journal: Pick<EventJournal, 'append'> | undefined;
  #kept: KeptEvents | undefined;

  /** Number of subscribers now. */
  get subscribers(): number {
    return this.#subscribers.size;
  }

  /** From now on everything is recorded there, which delivers it. */
  recordIn(journal: Pick<EventJournal, 'append'>): void {
    this.#journal = journal;
  }

  async publish(ctx: Context, topic: string, event: Any): Promise<void> {
    if (ctx.namespace === '')
      throw wrap(failedPrecondition('namespace is required'), 'failed publishing event');
    await this.#record({ timestamp: new Date(), namespace: ctx.namespace, topic, event });
  }

  async forward(envelope: Envelope): Promise<void> {
    await this.#record(envelope);
    this.#kept?.add(
      envelope,
      [...this.#subscribers].map(({ key }) => key),
    );
  }

  /**
   * To be called at a start that finds tasks: clients lost their subscriptions with the daemon before, and are back after the shims are.
   * What these tell within the next two minutes is kept for them; see {@link KeptEvents}.
   */
  expectReturns(): void {
    this.#kept = new KeptEvents(returnsMs);
  }

  subscribe(filters: readonly string[], signal: AbortSignal): AsyncIterable<Envelope> {
    const matches = filters.length === 0 ? undefined : compileFilters(filters);
    const stop = () => queue.end();
    const queue = new SubscriberQueue(() => {
      this.#subscribers.delete(subscriber);
      signal.removeEventListener('abort', stop);
    });
    const subscriber: Subscriber = { key: keyOf(filters), matches, queue };
    for (const envelope of this.#kept?.takeFor(subscriber.key) ?? [])
      offer(subscriber, envelope, envelopeFields(envelope));
    this.#subscribers.add(subscriber);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    return queue;
  }

  async #record(envelope: Envelope): Promise<void> {
    validate(envelope);
    if (this.#journal === undefined) this.deliver(envelope);
    else await this.#journal.append(envelope);
  }

  deliver(envelope: Envelope): void {
    if (this.#subscribers.size === 0) return;
    const fields = envelopeFields(envelope);
    for (const subscriber of this.#subscribers) offer(subscriber, envelope, fields);
  }
}

function validate({ namespace, topic, timestamp }: Envelope): void {
  validateNamespace(namespace);
  validateTopic(topic);
  if (Number.isNaN(timestamp.getTime())) throw invalidArgument('timestamp must be set on forwarded event');
}

/** A filter that fails ends its own subscriber, never the publisher. */
function offer({ matches, queue }: Subscriber, envelope: Envelope, fields: Adapt): void {
  try {
    if (matches === undefined || matches(fields)) queue.push(envelope);
  } catch (error) {
    queue.fail(error);
  }
}

function validateNamespace(namespace: string): void {
  const fault = identifierFault(namespace);
  if (fault !== undefined) throw invalidArgument(`event envelope has invalid namespace: ${fault}`);
}

/** Topics are `/part/part…`. */
function validateTopic(topic: string): void {
  const fault = topicFault(topic);
  if (fault !== undefined) throw invalidArgument(`envelope topic ${JSON.stringify(topic)}: ${fault}`);
}

function topicFault(topic: string): string | undefined {
  if (topic === '') return 'must not be empty';
  if (!topic.startsWith('/')) return "must start with '/'";
  if (topic === '/') return 'must have at least one component';
  if (topic.length > maxTopicLength) return `is longer than ${maxTopicLength} characters`;
  for (const part of topic.slice(1).split('/')) {
    const fault = identifierFault(part);
    if (fault !== undefined) return `failed validation on component ${JSON.stringify(part)}: ${fault}`;
  }
  return undefined;
}

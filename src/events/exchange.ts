import { type Context, namespaceOf } from '../async/context.ts';
import { identifierFault } from '../async/identifier.ts';
import { invalidArgument } from '../errors/error.ts';
import type { Any } from '../oci/any.ts';
import { envelopeFields } from './envelope-fields.ts';
import type { Envelope, Events } from './events.ts';
import { type Adapt, compileFilters, type Filter } from './filters.ts';
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
  #kept: KeptEvents | undefined;

  /** Number of subscribers now. */
  get subscribers(): number {
    return this.#subscribers.size;
  }

  publish(ctx: Context, topic: string, event: Any): void {
    const namespace = namespaceOf(ctx);
    this.#deliver({ timestamp: new Date(), namespace, topic, event });
  }

  forward(envelope: Envelope): void {
    this.#deliver(envelope);
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

  #deliver(envelope: Envelope): void {
    validateNamespace(envelope.namespace);
    validateTopic(envelope.topic);
    if (Number.isNaN(envelope.timestamp.getTime()))
      throw invalidArgument('timestamp must be set on forwarded event');
    if (this.#subscribers.size === 0) return;
    const fields = envelopeFields(envelope);
    for (const subscriber of this.#subscribers) offer(subscriber, envelope, fields);
  }
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
  if (topic.length > maxTopicLength) return `is longer than ${maxTopicLength} characters`;
  if (!topic.startsWith('/')) return "must start with '/'";
  if (topic === '/') return 'must have at least one component';
  for (const part of topic.slice(1).split('/')) {
    const fault = identifierFault(part);
    if (fault !== undefined) return `failed validation on component ${JSON.stringify(part)}: ${fault}`;
  }
  return undefined;
}

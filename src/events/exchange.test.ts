import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { daemonContext, silentLog } from '../async/context.ts';
import { isKind } from '../errors/error.ts';
import { envelopeFields } from './envelope-fields.ts';
import type { Envelope } from './events.ts';
import { EventExchange } from './exchange.ts';
import { maxQueuedEvents } from './subscriber-queue.ts';
import { makeEvent, timestampOf } from './topics.ts';

const ctx = daemonContext(silentLog, 'default');
const { topic, event } = makeEvent('taskExit', {
  containerId: 'c1',
  id: 'c1',
  pid: 7,
  exitStatus: 3,
  exitedAt: timestampOf(new Date(1500)),
});

function setUp() {
  const controller = new AbortController();
  const exchange = new EventExchange();
  const all = async (stream: AsyncIterable<Envelope>) => {
    const seen: Envelope[] = [];
    for await (const envelope of stream) seen.push(envelope);
    return seen;
  };
  return { exchange, controller, all };
}

describe('event exchange', () => {
  it('gives every event to every subscriber in order, and ends them with their signal', async () => {
    const { exchange, controller, all } = setUp();
    const streams = [0, 1].map(() => all(exchange.subscribe([], controller.signal)));
    for (const name of ['/a/b', '/a/c', '/a/d']) await exchange.publish(ctx, name, event);
    controller.abort();
    for (const seen of await Promise.all(streams))
      assert.deepEqual(
        seen.map((envelope) => envelope.topic),
        ['/a/b', '/a/c', '/a/d'],
      );
    assert.equal(exchange.subscribers, 0);
  });

  it('filters by namespace, topic and fields of the event', async () => {
    const { exchange, controller, all } = setUp();
    const filters = [
      ['namespace==default,topic~=|^/tasks/|'],
      ['event.container_id==c1'],
      ['event.container_id==c2'],
      ['namespace==other', 'topic=="/images/create"'],
      ['event.labels.a.b==1'],
    ];
    const streams = filters.map((filter) => all(exchange.subscribe(filter, controller.signal)));
    await exchange.publish(ctx, topic, event);
    const image = makeEvent('imageCreate', { name: 'x', labels: { 'a.b': '1' } });
    await exchange.publish(ctx, image.topic, image.event);
    controller.abort();
    const counts = (await Promise.all(streams)).map((seen) => seen.length);
    assert.deepEqual(counts, [1, 1, 0, 1, 1]);
  });

  it('names events as containerd does', () => {
    assert.equal(event.typeUrl, 'containerd.events.TaskExit');
    const image = makeEvent('imageDelete', { name: 'x' });
    assert.deepEqual(
      [image.topic, image.event.typeUrl],
      ['/images/delete', 'containerd.services.images.v1.ImageDelete'],
    );
  });

  it('reads no field from bytes that are no such event', () => {
    for (const broken of [
      { typeUrl: 'x.y.Z', value: new Uint8Array() },
      { typeUrl: event.typeUrl, value: Uint8Array.of(255, 255) },
    ]) {
      const fields = envelopeFields({ timestamp: new Date(), namespace: 'a', topic: '/a/b', event: broken });
      assert.equal(fields(['event', 'container_id']), undefined);
      assert.equal(fields(['topic']), '/a/b');
    }
  });

  it('ends a subscriber that does not read, and only that one', async () => {
    const { exchange, controller } = setUp();
    const slow = exchange.subscribe([], controller.signal)[Symbol.asyncIterator]();
    const quick = exchange.subscribe(['topic=="/never/seen"'], controller.signal);
    for (let i = 0; i <= maxQueuedEvents; i++) await exchange.publish(ctx, topic, event);
    assert.equal(exchange.subscribers, 1);
    for (let i = 0; i < maxQueuedEvents; i++) assert.equal((await slow.next()).done, false);
    await assert.rejects(slow.next(), (e) => isKind(e, 'resource_exhausted'));
    controller.abort();
    for await (const _ of quick) assert.fail();
  });

  it('ends a subscriber whose filter takes too long, and only that one', async () => {
    const { exchange, controller, all } = setUp();
    const slow = all(exchange.subscribe(['event.name~=/(a?){600}b/'], controller.signal));
    const other = all(exchange.subscribe([], controller.signal));
    const image = makeEvent('imageCreate', { name: 'a'.repeat(10_000) });
    await exchange.publish(ctx, image.topic, image.event);
    await assert.rejects(slow, (e) => isKind(e, 'resource_exhausted'));
    controller.abort();
    assert.equal((await other).length, 1);
  });

  it('forgets a subscriber that leaves its loop', async () => {
    const { exchange, controller } = setUp();
    const stream = exchange.subscribe([], controller.signal);
    await exchange.publish(ctx, topic, event);
    for await (const _ of stream) break;
    assert.equal(exchange.subscribers, 0);
  });

  it('refuses events without namespace, with bad topics, forwarded without time', async () => {
    const { exchange } = setUp();
    await assert.rejects(exchange.publish(daemonContext(silentLog), topic, event), (e) =>
      isKind(e, 'failed_precondition'),
    );
    for (const bad of ['', 'a/b', '/', '/a//b', '/a/b/', '/a b', `/${'a'.repeat(77)}`, '/ab'.repeat(50)])
      await assert.rejects(exchange.publish(ctx, bad, event), (e) => isKind(e, 'invalid_argument'), bad);
    const envelope = { timestamp: new Date(Number.NaN), namespace: 'a', topic, event };
    await assert.rejects(exchange.forward(envelope), /timestamp must be set/);
    const elsewhere = { ...envelope, timestamp: new Date(), namespace: '../a' };
    await assert.rejects(exchange.forward(elsewhere), (e) => isKind(e, 'invalid_argument'));
    await exchange.forward({ ...envelope, timestamp: new Date() });
  });

  it('keeps what shims tell after a restart for subscribers who come back, once for each set of filters', async () => {
    const { exchange, controller, all } = setUp();
    const told = (second: number): Envelope => ({
      timestamp: new Date(second * 1000),
      namespace: 'default',
      topic,
      event,
    });
    await exchange.forward(told(1));
    exchange.expectReturns();
    await exchange.publish(ctx, '/images/create', event);
    await exchange.forward(told(2));
    const first = all(exchange.subscribe(['topic~=tasks'], controller.signal));
    await exchange.forward(told(3));
    const streams = [
      first,
      ...[['topic~=tasks'], [], ['topic~=images']].map((f) => all(exchange.subscribe(f, controller.signal))),
    ];
    await exchange.forward(told(4));
    controller.abort();
    const seen = (await Promise.all(streams)).map((stream) =>
      stream.map(({ timestamp }) => timestamp.getTime() / 1000),
    );
    assert.deepEqual(seen, [[2, 3, 4], [4], [2, 3, 4], []]);
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flights } from './flights.ts';
import { never } from './never.ts';

const tick = () => new Promise((resolve) => setImmediate(resolve));
const ignore = () => {};

test('work that many want is done once, and all hear of it and of its failure', async () => {
  const flights = new Flights<number>();
  const { promise, resolve } = Promise.withResolvers<void>();
  let runs = 0;
  const heard: number[][] = [[], []];
  const work = async (_: AbortSignal, tell: (step: number) => void) => {
    runs++;
    tell(1);
    await promise;
    tell(2);
    throw new Error('broken');
  };
  const first = flights.join('a', never, (n) => heard[0]?.push(n), work);
  await tick();
  const second = flights.join('a', never, (n) => heard[1]?.push(n), work);
  await tick();
  resolve();
  await assert.rejects(first, /broken/);
  await assert.rejects(second, /broken/);
  assert.equal(runs, 1);
  assert.deepEqual(heard, [
    [1, 2],
    [1, 2],
  ]);
  assert.equal(flights.size, 0);
});

test('who goes away leaves the work to the others; the last one ends it and waits for its end', async () => {
  const flights = new Flights<string>();
  const order: string[] = [];
  const work = (signal: AbortSignal) =>
    new Promise<void>((_, reject) => {
      signal.addEventListener('abort', () => {
        order.push('stopping');
        setImmediate(() => {
          order.push('stopped');
          reject(signal.reason);
        });
      });
    });
  const [one, two] = [new AbortController(), new AbortController()];
  const first = flights.join('a', one.signal, ignore, work);
  const second = flights.join('a', two.signal, ignore, work);
  await tick();
  one.abort(new Error('first left'));
  await assert.rejects(first, /first left/);
  assert.equal(order.length, 0);
  two.abort(new Error('second left'));
  while (order.length === 0) await Promise.resolve();
  const third = flights.join('a', never, ignore, async () => {
    order.push('anew');
  });
  await assert.rejects(second, /second left/);
  await third;
  assert.deepEqual(order, ['stopping', 'stopped', 'anew']);
});

test('a caller that is cancelled already starts nothing', async () => {
  const flights = new Flights<string>();
  await assert.rejects(
    flights.join('a', AbortSignal.abort(new Error('too late')), ignore, () => assert.fail()),
    /too late/,
  );
  assert.equal(flights.size, 0);
});

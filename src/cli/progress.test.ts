import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { Bars } from './progress-bars.ts';
import { progressLine } from './progress-line.ts';

const layer = (n: number): string => `layer-sha256:${String(n).padStart(2, '0').repeat(32)}`;
const step = (name: string, event: string, doneBytes = 0, totalBytes = 0) => ({
  name,
  event,
  doneBytes,
  totalBytes,
  parents: [],
});

/** A terminal that keeps what is written to it. */
function terminal(rows: number, columns: number) {
  const stream = new PassThrough();
  const written: string[] = [];
  stream.on('data', (chunk: Buffer) => written.push(chunk.toString()));
  const output = Object.assign(stream, { isTTY: true, rows, columns }) as unknown as NodeJS.WriteStream;
  return { output, text: () => written.join('') };
}

/** How many lines of the screen above its first one the output went to: moves up may not exceed the rows. */
function highestMove(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: this is how a cursor is moved
  return Math.max(0, ...[...text.matchAll(/\x1b\[(\d+)A/g)].map(([, lines]) => Number(lines)));
}

test('a line of progress fits its terminal: the bar gives way, then goes', () => {
  const half = step(layer(1), 'downloading', 500, 1000);
  for (const columns of [200, 80, 60]) assert.ok(progressLine(half, columns).length < columns);
  assert.match(progressLine(half, 200), /^010101010101 {10}#{15}-{15} 500B\/1kB downloading$/);
  assert.match(progressLine(half, 40), /^010101010101 {10}500B\/1kB downloading$/);
});

test('what has no bytes is its words, without a gap for a name', () => {
  assert.equal(progressLine(step('', 'Pulling from x'), 80), 'Pulling from x');
  assert.equal(progressLine(step('x:1', 'saved\x1b'), 80), 'x:1 saved\\x1b');
});

test('more objects than rows: no line above the screen is redrawn, and every object ends with its last state', () => {
  const { output, text } = terminal(6, 80);
  const bars = new Bars(output);
  bars.show(step('', 'Pulling'));
  for (const event of ['waiting', 'downloading', 'complete', 'extracting', 'extracted'])
    for (let n = 0; n < 20; n++) bars.show(step(layer(n), event, event === 'waiting' ? 0 : 100, 100));
  bars.show(step('', 'Completed pull'));
  bars.close();
  assert.ok(highestMove(text()) < 6, text());
  const last = text().split('Completed pull').join('');
  for (let n = 0; n < 20; n++) {
    const id = layer(n).slice(13, 25);
    assert.match(last.slice(last.lastIndexOf(id)).split('\n')[0] ?? '', /100B\/100B extracted/, id);
  }
  assert.match(text(), /Completed pull/);
});

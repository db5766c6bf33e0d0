import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isBefore, LineSplitter, parseLogLine } from './log-line.ts';

const line = (text: string) => parseLogLine(Buffer.from(text));
const at = Date.parse('2026-11-22T13:24:39Z') / 1000;

test('a line of the CRI format is read to the nanosecond', () => {
  const entry = line('2026-11-22T13:24:39.000000001Z stdout F hello world ');
  assert.deepEqual(entry?.time, { seconds: BigInt(at), nanos: 1 });
  assert.equal(entry?.stream, 'stdout');
  assert.equal(entry?.partial, false);
  assert.equal(Buffer.from(entry?.data ?? []).toString(), 'hello world ');
});

test('offsets, short fractions, stderr, partial lines and tags are read', () => {
  const entry = line('2026-11-22T14:24:39.5+01:00 stderr P:x \xff');
  assert.deepEqual(entry?.time, { seconds: BigInt(at), nanos: 500_000_000 });
  assert.equal(entry?.stream, 'stderr');
  assert.equal(entry?.partial, true);
  assert.equal(line('2026-11-22T13:24:39Z stdout F ')?.data.length, 0);
});

for (const odd of [
  '',
  'hello',
  '2026-13-45T99:00:00Z stdout F x',
  '2026-11-22T13:24:39Z stdin F x',
  '2026-11-22T13:24:39Z stdout X x',
])
  test(`${JSON.stringify(odd)} is no line of a log`, () => assert.equal(line(odd), undefined));

test('times are ordered to the nanosecond', () => {
  assert.ok(isBefore({ seconds: 1n, nanos: 5 }, { seconds: 1n, nanos: 6 }));
  assert.ok(!isBefore({ seconds: 2n, nanos: 0 }, { seconds: 1n, nanos: 6 }));
});

test('lines are cut across chunks, and one without end is let go', () => {
  const splitter = new LineSplitter(8);
  const all = ['ab', 'c\nd', '\n\n', 'x'.repeat(20), '\ny\n'].flatMap((chunk) =>
    [...splitter.push(Buffer.from(chunk))].map(String),
  );
  assert.deepEqual(all, ['abc', 'd', '', '', 'y']);
});

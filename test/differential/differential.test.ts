import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { containerd2 } from '../kit/paths.ts';
import { replay } from './replay.ts';
import { report } from './report.ts';
import { Sides } from './sides.ts';

/** Enough to drive every method; `main.ts --calls 10000` makes more. */
const calls = 1500;
const seed = 1;

const version = execFileSync(containerd2, ['--version'], { encoding: 'utf8' });
const skip =
  !version.includes(' 2.3.') &&
  !version.includes(' v2.3.') &&
  `the containerd here is no 2.3: ${version.trim()}`;

test('the same random calls are answered as containerd 2.3.4 answers them', { skip }, async () => {
  await using sides = await Sides.open();
  const replayed = await replay(sides, { seed, calls });
  const { differences, eventDifferences, stateDifferences, crashes, succeeded } = replayed;
  const unexplained = differences.filter(({ explained }) => explained === undefined);
  // Not the differences themselves: a call knows the whole description of its service.
  const found = [unexplained.length, eventDifferences.length, stateDifferences.length];
  assert.deepEqual(found, [0, 0, 0], report(seed, replayed));
  assert.ok(succeeded > calls / 5, `only ${succeeded} calls succeeded`);
  for (const { call, berth } of crashes)
    assert.equal(berth.code, 3, `${call.method}, which containerd dies of: ${berth.text}`);
});

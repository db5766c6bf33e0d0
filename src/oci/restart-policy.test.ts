import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../errors/error.ts';
import { parseBackOff, waitMs } from './back-off.ts';
import { restartLabels as names } from './label-names.ts';
import { parseRestartPolicy, wantsRestart } from './restart-policy.ts';

const labels = (policy: string, more: Record<string, string> = {}) => ({ [names.policy]: policy, ...more });

test('restart policies are read as containerd reads them, its refusals in its words', () => {
  assert.deepEqual(parseRestartPolicy(''), { name: 'always', maxRetries: 0 });
  assert.deepEqual(parseRestartPolicy('on-failure:3'), { name: 'on-failure', maxRetries: 3 });
  const refused: Record<string, string> = {
    sometimes: 'restart policy "sometimes" not supported',
    'always:3': 'restart policy "always" not support max retry count',
    'on-failure:many': 'invalid max retry count: many',
    'on-failure:': 'invalid max retry count: ',
  };
  for (const [text, message] of Object.entries(refused))
    assert.throws(() => parseRestartPolicy(text), { kind: 'invalid_argument', message });
});

test('who has ended starts again by policy, status, count and whether somebody stopped it', () => {
  const failed = { exitStatus: 7 };
  const table: [Record<string, string>, { exitStatus: number }, boolean][] = [
    [{}, { exitStatus: 0 }, true],
    [labels('no'), failed, false],
    [labels('always', { [names.explicitlyStopped]: 'true' }), failed, true],
    [labels('on-failure'), { exitStatus: 0 }, false],
    [labels('on-failure', { [names.count]: '99' }), failed, true],
    [labels('on-failure:2', { [names.count]: '1' }), failed, true],
    [labels('on-failure:2', { [names.count]: '2' }), failed, false],
    [labels('unless-stopped'), { exitStatus: 0 }, true],
    [labels('unless-stopped', { [names.explicitlyStopped]: 'false' }), failed, true],
    [labels('unless-stopped', { [names.explicitlyStopped]: 'T' }), failed, false],
  ];
  for (const [given, ending, expected] of table)
    assert.equal(wantsRestart(given, ending), expected, JSON.stringify(given));
  assert.throws(
    () => wantsRestart(labels('on-failure:2', { [names.count]: 'x' }), failed),
    (error) => isKind(error, 'invalid_argument'),
  );
});

test('waits double up to the longest one, and odd ones are refused', () => {
  const backOff = parseBackOff('100ms..1m');
  assert.deepEqual(
    [0, 1, 5, 10, 1e9].map((ends) => waitMs(backOff, ends)),
    [100, 200, 3200, 60_000, 60_000],
  );
  assert.deepEqual(parseBackOff('5m'), { firstMs: 300_000, longestMs: 300_000 });
  for (const text of [
    '',
    '1',
    '0ms',
    '1ms',
    '2s..1s',
    '25h',
    '1s..2s..3s',
    '-1s',
    '1s ',
    `${'9'.repeat(400)}s`,
  ])
    assert.throws(() => parseBackOff(text), { kind: 'invalid_argument' }, text);
});

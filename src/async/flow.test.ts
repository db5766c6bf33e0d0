import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../errors/error.ts';
import { cleanUp } from './cleanup.ts';
import { daemonContext, silentLog } from './context.ts';
import { linkSignals, withDeadline } from './deadline.ts';
import { never } from './never.ts';

const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

test('work that is out of time is unavailable, even if it does not listen', async () => {
  let told: unknown;
  const deaf = (signal: AbortSignal) => {
    signal.addEventListener('abort', () => {
      told = signal.reason;
    });
    return new Promise<void>(() => {});
  };
  await assert.rejects(
    withDeadline(never, 10, 'pulling x', deaf),
    /^BerthError: pulling x took longer than 10 ms$/,
  );
  assert.ok(isKind(told, 'unavailable'));
  assert.equal(await withDeadline(never, 1000, 'x', async () => 5), 5);
});

test('a caller that gives up is told its own reason, not the deadline', async () => {
  const caller = new AbortController();
  const run = withDeadline(caller.signal, 1000, 'x', untilAborted);
  caller.abort(new Error('enough'));
  await assert.rejects(run, /enough/);
});

test('a linked signal fires with its sources until it is disposed', () => {
  const [a, b] = [new AbortController(), new AbortController()];
  const linked = linkSignals(a.signal, b.signal);
  const released = linkSignals(b.signal);
  released[Symbol.dispose]();
  b.abort('b');
  assert.deepEqual([linked.signal.reason, released.signal.aborted], ['b', false]);
  assert.equal(linkSignals(b.signal).signal.aborted, true);
});

test('a failing or slow cleanup is logged and hides no error', async () => {
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (_: object, message: string) => void warnings.push(message) };
  const ctx = daemonContext(log);
  const failing = async () => {
    await using undo = new AsyncDisposableStack();
    undo.defer(() => cleanUp(ctx, 'remove it', () => Promise.reject(new Error('busy'))));
    throw new Error('the first error');
  };
  await assert.rejects(failing(), /^Error: the first error$/);
  await cleanUp(ctx, 'wait', ({ signal }) => untilAborted(signal), 10);
  assert.deepEqual(warnings, ['could not remove it', 'could not wait']);
});

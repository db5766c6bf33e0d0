import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Context, type Log, silentLog } from '../async/context.ts';
import { internal, notFound } from '../errors/error.ts';
import { requestLog } from '../rpc/grpc-call.ts';
import { logCall } from './call-log.ts';

type Line = readonly [level: string, fields: unknown, message: string];

/** The lines that a failure leaves. */
function linesOf(failure: unknown, signal = new AbortController().signal): Line[] {
  const lines: Line[] = [];
  const note = (level: string) => (fields: object, message: string) =>
    void lines.push([level, fields, message]);
  const log: Log = { ...silentLog, trace: note('trace'), debug: note('debug'), warn: note('warn') };
  const ctx: Context = {
    signal,
    namespace: 'n',
    log: requestLog(log, 7, '/a.B/C'),
    caller: { kind: 'test' },
  };
  logCall({ requestId: 7, service: 'a.B', method: 'C', ctx }, failure, 1.4);
  return lines;
}

const said = { requestId: 7, method: '/a.B/C', namespace: 'n', elapsedMs: 1 };

test('a call that failed is told with request id, method and kind; what the caller did wrong only to debuggers', () => {
  assert.deepEqual(linesOf(notFound('image x')), [
    ['debug', { ...said, kind: 'not_found', error: 'image x' }, 'call failed'],
  ]);
  assert.deepEqual(linesOf(internal('broken')), [
    ['warn', { ...said, kind: 'internal', error: 'broken' }, 'call failed'],
  ]);
  assert.deepEqual(linesOf(new TypeError('oops'))[0]?.[0], 'warn');
});

test('a call that succeeded is told to tracers only, one that its caller gave up gives no warning', () => {
  assert.deepEqual(linesOf(undefined), [['trace', { ...said, elapsedMs: 1.4 }, 'call served']]);
  assert.equal(linesOf(new Error('gone'), AbortSignal.abort())[0]?.[0], 'debug');
});

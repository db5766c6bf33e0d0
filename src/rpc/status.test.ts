import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  aborted,
  BerthError,
  conflict,
  failedPrecondition,
  kinds,
  notFound,
  notModified,
  SysError,
  wrap,
} from '../errors/error.ts';
import { fromStatus, toStatus } from './status.ts';

describe('status', () => {
  it('carries every kind over the wire and back, however often', () => {
    for (const kind of kinds) {
      const once = toStatus(new BerthError(kind, 'thing "a"'));
      const back = fromStatus(once.code, once.message);
      assert.equal(back.kind, kind);
      assert.deepEqual(toStatus(back), once);
    }
  });

  it('ends messages with the words that Go clients look for, once', () => {
    assert.deepEqual(toStatus(notFound('image "a"')), { code: 5, message: 'image "a": not found' });
    assert.deepEqual(toStatus(notFound('image "a": not found')), {
      code: 5,
      message: 'image "a": not found',
    });
    assert.deepEqual(toStatus(conflict('a')), { code: 9, message: 'a: conflict' });
    assert.deepEqual(toStatus(notModified('a')), { code: 9, message: 'a: not modified' });
    assert.deepEqual(toStatus(failedPrecondition('namespace is required')), {
      code: 9,
      message: 'namespace is required: failed precondition',
    });
  });

  it('knows cancellation and deadlines also below a wrapping', () => {
    const abort = new DOMException('stop', 'AbortError');
    const timeout = new DOMException('late', 'TimeoutError');
    assert.equal(toStatus(abort).code, 1);
    assert.equal(toStatus(wrap(abort, 'pull')).code, 1);
    assert.equal(toStatus(timeout).code, 4);
    assert.equal(toStatus(wrap(timeout, 'pull')).code, 4);
    assert.equal(toStatus(notFound('x', abort)).code, 5);
    assert.equal(toStatus(aborted('x')).code, 10);
    assert.equal(toStatus(fromStatus(4, 'late')).code, 4);
  });

  it('says what it does not know as it is, without stack, well-formed and bounded', () => {
    assert.deepEqual(toStatus(new SysError('open', 'EIO', 5)), { code: 2, message: 'open: EIO' });
    assert.deepEqual(toStatus('text'), { code: 2, message: 'text' });
    assert.equal(toStatus(new Error('a\ud800')).message, 'a\ufffd');
    const long = toStatus(notFound('x'.repeat(1e6))).message;
    assert.ok(long.length < 5000);
    assert.match(long, /: not found$/);
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillIn } from './oci-hook.ts';

const state = {
  id: 'one',
  bundle: '/b',
  pid: 42,
  status: 'creating',
  annotations: { 'a "b"': 'c', __proto__x: 'd' },
  root: '/b/rootfs',
};

test('what stands in braces is filled in, anything else in them is refused', () => {
  assert.equal(fillIn('{{id}}-{{ pid }} {{- bundle -}} {{rootfs}}', state), 'one-42 /b /b/rootfs');
  assert.equal(
    fillIn('{{annotation "a \\"b\\""}}{{annotation "none"}}{{annotation `__proto__x`}}', state),
    'cd',
  );
  assert.equal(fillIn('{{annotation "__proto__"}}{{annotation "constructor"}}', state), '');
  assert.equal(fillIn('{ {id} } {{status}}', state), '{ {id} } creating');
  for (const bad of ['{{.}}', '{{exec "id"}}', '{{annotation id}}', '{{}}'])
    assert.throws(() => fillIn(bad, state), /is not known: want id/);
});

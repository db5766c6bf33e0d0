import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inheritedLabels } from './image-labels.ts';

test('CVE-2026-53488: labels that a daemon acts on are not taken from an image', () => {
  const reserved = [
    'containerd.io/restart.loguri',
    'containerd.io/gc.ref.content.0',
    'io.cri-containerd.kind',
    'io.cri-containerd/x',
    'io.containerd.image.config.stop-signal',
    'berth/name',
  ];
  const labels = {
    ...Object.fromEntries(reserved.map((name) => [name, 'x'])),
    maintainer: 'me',
    'x.containerd.io/a': 'b',
  };
  const { kept, dropped } = inheritedLabels(labels);
  assert.deepEqual(kept, { maintainer: 'me', 'x.containerd.io/a': 'b' });
  assert.deepEqual(dropped, reserved);
});

test('labels over 4096 bytes are dropped, __proto__ is data', () => {
  const labels = Object.fromEntries([
    ['big', 'x'.repeat(4096)],
    ['__proto__', 'x'],
  ]);
  assert.deepEqual(Object.keys(inheritedLabels(labels).kept), ['__proto__']);
  assert.deepEqual(inheritedLabels(labels).dropped, ['big']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { QuietTimer } from './quiet.ts';

test('acts once after the last touch, and again after the next', async () => {
  let acts = 0;
  using quiet = new QuietTimer(40, () => acts++);
  await sleep(80);
  assert.equal(acts, 0, 'nobody touched it yet');
  for (let i = 0; i < 4; i++) {
    quiet.touch();
    await sleep(15);
  }
  assert.equal(acts, 0);
  await sleep(120);
  assert.equal(acts, 1);
  quiet.touch();
  await sleep(120);
  assert.equal(acts, 2);
});

test('waits while the event loop is busy', async () => {
  let acts = 0;
  using quiet = new QuietTimer(50, () => acts++);
  quiet.touch();
  const endMs = performance.now() + 300;
  while (performance.now() < endMs) {
    const burnMs = performance.now() + 10;
    while (performance.now() < burnMs);
    await sleep(1);
  }
  assert.equal(acts, 0);
  await sleep(250);
  assert.equal(acts, 1);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HostHealth } from './host-health.ts';

const origin = 'https://mirror.example';

test('a host that cannot be reached is left alone, longer each time, and gets one try after its rest', () => {
  let now = 0;
  const health = new HostHealth(() => now);
  assert.ok(health.isWorthATry(origin));
  health.failed(origin);
  assert.ok(!health.isWorthATry(origin));
  now = 15_001;
  assert.ok(health.isWorthATry(origin));
  assert.ok(!health.isWorthATry(origin), 'while the first tries it, others do not');
  health.failed(origin);
  now += 16_000;
  assert.ok(!health.isWorthATry(origin));
  now += 16_000;
  assert.ok(health.isWorthATry(origin));
  for (let i = 0; i < 100; i++) health.failed(origin);
  now += 5 * 60_000 + 1;
  assert.ok(health.isWorthATry(origin), 'five minutes is the longest rest');
});

test('an answer ends the rest', () => {
  const health = new HostHealth(() => 0);
  health.failed(origin);
  health.answered(origin);
  assert.ok(health.isWorthATry(origin));
});

test('a host that asks for patience is paused for everybody, and no answer in between ends it', () => {
  let now = 0;
  const health = new HostHealth(() => now);
  health.asked(origin, 2_000);
  health.asked(origin, 1_000);
  health.answered(origin);
  assert.equal(health.pauseMs(origin), 2_000);
  assert.ok(!health.isWorthATry(origin));
  now = 2_000;
  assert.equal(health.pauseMs(origin), 0);
  assert.ok(health.isWorthATry(origin));
  assert.equal(health.pauseMs('https://other.example'), 0);
});

test('a host that asks for an hour is left alone by those who have others, and stops nobody', () => {
  const health = new HostHealth(() => 0);
  health.asked(origin, 3_600_000);
  assert.ok(!health.isWorthATry(origin));
  assert.equal(health.pauseMs(origin), 0);
});

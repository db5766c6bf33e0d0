import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLog } from '../async/context.ts';
import { openPty } from '../sys/tty.ts';
import { FdHolder } from './fd-holder.ts';
import { FdStore } from './fd-store.ts';

const dir = mkdtempSync(join(tmpdir(), 'fd-store-'));
after(() => rmSync(dir, { recursive: true }));
const openFds = (): number => readdirSync('/proc/self/fd').length;

function keysIn(file: string): string[] {
  using store = new FdStore(file, silentLog);
  return [...store.found().keys()];
}

test('what one store keeps the next one finds, the newest of each key, and a closed original still works', () => {
  const file = join(dir, 'holder');
  using store = new FdStore(file, silentLog);
  const { controller, terminal } = openPty();
  store.set('a', { terminal: controller });
  store.set('a', { terminal: controller, stdin: controller });
  for (let i = 0; i < 100; i++) store.set(`k${i}`, { stdin: terminal });
  for (let i = 0; i < 99; i++) store.remove(`k${i}`);
  controller.close();
  using next = new FdStore(file, silentLog);
  const found = next.found();
  assert.deepEqual([...found.keys()].sort(), ['a', 'k99']);
  assert.deepEqual([...(found.get('a')?.keys() ?? [])], ['terminal', 'stdin']);
  writeSync(terminal.fd, 'hello');
  const bytes = Buffer.alloc(10);
  assert.equal(readSync(found.get('a')?.get('terminal')?.fd ?? -1, bytes), 5);
  next.keepOnly(new Set(['k99']));
  assert.deepEqual(keysIn(file), ['k99']);
  terminal.close();
  next.stop();
  assert.deepEqual(keysIn(file), []);
});

test('a thousand entries come and go and leave no descriptor behind', () => {
  const store = new FdStore(join(dir, 'many'), silentLog);
  store.set('first', { stdin: 0 });
  const before = openFds();
  for (let i = 0; i < 1000; i++) store.set(`k${i}`, { stdin: 0, stdout: 1 });
  for (let i = 0; i < 1000; i++) store.remove(`k${i}`);
  assert.equal(openFds(), before);
  store.stop();
});

test('when the holder is killed, owners are asked to keep their descriptors again', async () => {
  const file = join(dir, 'killed');
  const store = new FdStore(file, silentLog);
  const lost = Promise.withResolvers<void>();
  store.onLost = lost.resolve;
  store.set('a', { stdin: 0 });
  FdHolder.find(file)?.stop();
  await Promise.race([
    lost.promise,
    sleep(5000, undefined, { ref: false }).then(() => assert.fail('nobody was asked')),
  ]);
  store.set('a', { stdin: 0 });
  assert.deepEqual(keysIn(file), ['a']);
  store.stop();
});

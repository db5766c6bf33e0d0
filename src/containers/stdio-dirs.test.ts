import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { StdioDirs } from './stdio-dirs.ts';

function root(): Disposable & { path: string } {
  const path = join(mkdtempSync(join(tmpdir(), 'berth-fifo-')), 'fifo');
  return { path, [Symbol.dispose]: () => rmSync(dirname(path), { recursive: true, force: true }) };
}
const all = { stdin: true, stdout: true, stderr: true };

test('FIFOs are made as wanted, private, and of their caller', async () => {
  using at = root();
  const dirs = new StdioDirs(at.path);
  const paths = await dirs.make('ns', { ...all, containerId: 'c', execId: '', stdin: false }, 1234);
  assert.equal(paths.stdin, '');
  const fifo = statSync(paths.stdout);
  assert.ok(fifo.isFIFO());
  assert.equal(fifo.mode & 0o777, 0o600);
  assert.equal(fifo.uid, 1234);
  const dir = statSync(dirname(paths.stdout));
  assert.equal(dir.mode & 0o777, 0o700);
  assert.equal(dir.uid, 1234);
  assert.equal(statSync(at.path).mode & 0o777, 0o711);
});

test('FIFOs go with their owner, also after a restart', async () => {
  using at = root();
  const dirs = new StdioDirs(at.path);
  const first = await dirs.make('ns', { ...all, containerId: 'c', execId: '' }, undefined);
  const exec = await dirs.make('ns', { ...all, containerId: 'c', execId: 'e' }, undefined);
  await dirs.removeWhere((owner) => owner.execId === 'e');
  assert.throws(() => statSync(exec.stdin), { code: 'ENOENT' });
  const restarted = new StdioDirs(at.path);
  assert.deepEqual(restarted.ownersOlderThan(0), [{ namespace: 'ns', containerId: 'c', execId: '' }]);
  await restarted.removeWhere((owner) => owner.containerId === 'c');
  assert.throws(() => statSync(first.stdin), { code: 'ENOENT' });
});

test('what a daemon left half-made is removed by the next one', () => {
  using at = root();
  mkdirSync(join(at.path, 'half'), { recursive: true });
  new StdioDirs(at.path);
  assert.deepEqual(readdirSync(at.path), []);
});

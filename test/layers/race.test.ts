import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { kindOf } from '../../src/errors/error.ts';
import { dir, file, hardlink, symlink, tar } from '../kit/tar-builder.ts';
import { applyTar, makeSandbox, type Sandbox } from './sandbox.ts';

async function startRacer(s: Sandbox): Promise<AsyncDisposable> {
  const racer = new Worker(new URL('../sys/swap-racer-worker.ts', import.meta.url), {
    workerData: { dir: s.target, a: 'swap', b: 'other' },
  });
  await new Promise((resolve) => racer.once('message', resolve));
  return { [Symbol.asyncDispose]: async () => void (await racer.terminate()) };
}

const members = Array.from({ length: 300 }, (_, i) => [
  file(`swap/dir${i % 150}/sentinel`, 'overwritten', { mode: 0o4777, uid: 7 }),
  file('swap/sentinel', 'overwritten', { mode: 0o4777, uid: 7 }),
  hardlink(`swap/h${i}`, 'swap/sentinel', { mode: 0o777 }),
  symlink(`swap/dir/l${i}`, 'x', { uid: 7 }),
  file('swap/.wh.dir'),
  ...(i % 50 === 0 ? [file('swap/.wh..wh..opq'), dir('swap/dir', { mode: 0o777, uid: 7 })] : []),
]).flat();

test('CVE-2021-32760, CVE-2025-47290: several layers unpack while a racer swaps directory and symlink', async () => {
  using sandbox = makeSandbox();
  mkdirSync(join(sandbox.target, 'swap/dir'), { recursive: true });
  symlinkSync(sandbox.host, join(sandbox.target, 'other'));
  await using _racer = await startRacer(sandbox);
  const until = performance.now() + Number(process.env.BERTH_RACE_MS ?? 3000);
  let tried = 0;
  const unpack = async () => {
    while (performance.now() < until) {
      tried++;
      try {
        await applyTar(tar(...members), { directory: sandbox.target });
      } catch (error) {
        assert.ok(['invalid_argument', 'unknown'].includes(kindOf(error)), String(error));
      }
    }
  };
  await Promise.all([unpack(), unpack(), unpack()]);
  assert.ok(tried > 5, `only ${tried} layers`);
  sandbox.assertHostUnchanged();
});

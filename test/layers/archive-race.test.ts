import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { isKind, kindOf, messageOf } from '../../src/errors/error.ts';
import { ownersOf } from '../../src/paths/owners.ts';
import { rootOf } from '../../src/paths/tree-path.ts';
import { writeArchive } from '../../src/paths/write-archive.ts';
import { dir, file, hardlink, symlink, tar } from '../kit/tar-builder.ts';
import { makeSandbox, type Sandbox } from './sandbox.ts';

async function startRacer({ target, host }: Sandbox): Promise<AsyncDisposable> {
  const racer = new Worker(new URL('./kind-racer-worker.ts', import.meta.url), {
    workerData: { path: join(target, 'swap'), outside: host },
  });
  await new Promise((resolve) => racer.once('message', resolve));
  return { [Symbol.asyncDispose]: async () => void (await racer.terminate()) };
}

const archives = [
  tar(file('swap', 'planted')),
  tar(symlink('swap', '/')),
  tar(dir('swap')),
  tar(file('fixed', 'x'), hardlink('swap', 'fixed')),
  tar(file('swap/sentinel', 'planted')),
];

test('CVE-2018-15664: an archive is written or refused by its kind, whatever a name of it becomes meanwhile', async () => {
  using sandbox = makeSandbox();
  using root = rootOf(sandbox.target);
  await using _racer = await startRacer(sandbox);
  let overtaken = 0;
  const until = performance.now() + Number(process.env.BERTH_RACE_MS ?? 10_000);
  for (let i = 0; overtaken < 100 && performance.now() < until; i++)
    try {
      const archive = [archives[i % archives.length] ?? Buffer.alloc(0)];
      const signal = new AbortController().signal;
      await writeArchive(root, ReadableStream.from(archive), { at: '', owners: ownersOf([], []), signal });
    } catch (error) {
      const kinds = ['not_found', 'failed_precondition', 'invalid_argument'];
      assert.ok(kinds.includes(kindOf(error)), String(error));
      if (isKind(error, 'failed_precondition') && messageOf(error).includes('meanwhile')) overtaken++;
    }
  sandbox.assertHostUnchanged();
});

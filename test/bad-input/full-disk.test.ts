import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Generation, generations, runLine } from '../clients/table.ts';
import { violationsAtRest } from '../kit/checker.ts';
import { TestDaemon } from '../kit/daemon.ts';
import { FlakyRegistry, tarOf } from '../kit/flaky-registry.ts';
import { output } from '../kit/run.ts';

const mebibyte = 1 << 20;
const diskFull = /(no space left|not enough disk space).*: resource exhausted/;

/** A daemon whose root is a tmpfs of `sizeMiB`. */
async function onSmallDisk(sizeMiB: number): Promise<TestDaemon> {
  const daemon = new TestDaemon();
  mkdirSync(daemon.root, { mode: 0o700 });
  await output('mount', ['-t', 'tmpfs', '-o', `size=${sizeMiB}m,mode=700`, 'tmpfs', daemon.root]);
  return daemon.start();
}

/** Takes all room; removing the file gives it back. */
function fillUp({ root }: TestDaemon): string {
  const filler = join(root, 'filler');
  const { bavail, bsize } = statfsSync(root);
  try {
    writeFileSync(filler, Buffer.alloc(bavail * bsize));
  } catch {
    // Something else took the last block.
  }
  return filler;
}

const gc = '$C leases create --id gc; $C leases rm --sync gc';

for (const generation of Object.keys(generations) as Generation[]) {
  describe(`a full disk under ctr ${generation}`, () => {
    test('a pull that does not fit says so, leaves nothing half-made, and one that fits works', async () => {
      await using registry = await FlakyRegistry.start();
      registry.addImage('big', 'x', [
        tarOf({ a: randomBytes(20 * mebibyte) }),
        tarOf({ b: randomBytes(20 * mebibyte) }),
      ]);
      registry.addImage('small', 'x', [tarOf({ a: 'a' })]);
      await using daemon = await onSmallDisk(48);
      const ctr = (line: string) => runLine(daemon, generation, line, { HOST: registry.host });
      const { pid } = daemon;
      const big = await ctr(
        '$C images pull --plain-http $HOST/big:x 2>&1 | tail -2; exit $' + '{PIPESTATUS[0]}',
      );
      assert.notEqual(big.status, 0);
      assert.match(big.shown, diskFull);
      await ctr(
        `$C images rm $HOST/big:x; for r in $($C content active | tail -n +2 | cut -f1); do $C content rm $r; done; ${gc}`,
      );
      assert.equal((await ctr('$C images ls -q; $C content ls -q; $C snapshots ls | tail -n +2')).shown, '');
      assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
      const small = await ctr('$C images pull --plain-http $HOST/small:x && $C images check -q');
      assert.equal(small.status, 0, small.shown);
      assert.equal(daemon.pid, pid);
    });

    test('a layer that unpacks to more than there is room says so and leaves no part of it', async () => {
      await using registry = await FlakyRegistry.start();
      registry.addImage('bomb', 'x', [tarOf({ much: Buffer.alloc(60 * mebibyte, 'x') })]);
      await using daemon = await onSmallDisk(32);
      const ctr = (line: string) => runLine(daemon, generation, line, { HOST: registry.host });
      const bomb = await ctr(
        '$C images pull --plain-http $HOST/bomb:x 2>&1 | tail -3; exit $' + '{PIPESTATUS[0]}',
      );
      assert.notEqual(bomb.status, 0);
      assert.match(bomb.shown, diskFull);
      await ctr(`$C images rm $HOST/bomb:x; ${gc}`);
      assert.equal((await ctr('$C snapshots ls | tail -n +2; $C content ls -q')).shown, '');
      assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
      const { bavail, blocks } = statfsSync(daemon.root);
      // 8 of 32 MiB are the database's reserve.
      assert.ok(bavail > blocks * 0.7, `${bavail} of ${blocks} blocks are free again`);
    });

    test('with no room at all content is refused as resource exhausted, reading and removing go on, and room makes it work again', async () => {
      await using daemon = await onSmallDisk(24);
      const ctr = (line: string) => runLine(daemon, generation, line);
      const { pid } = daemon;
      await ctr('$C ns create before; echo hello | $C content ingest kept; $C leases create --id l1');
      const filler = fillUp(daemon);
      const ingest = await ctr('head -c 8388608 /dev/urandom | $C content ingest r1');
      assert.notEqual(ingest.status, 0);
      assert.match(ingest.shown, diskFull);
      assert.match((await ctr('$C ns ls -q')).shown, /before/);
      assert.match((await ctr('$C leases ls')).shown, /l1/);
      assert.equal((await ctr('$C leases rm l1')).shown, 'l1', 'what is there can be removed');
      rmSync(filler);
      assert.equal((await ctr('$C ns create after; $C ns ls -q | grep -c after')).shown, '1');
      assert.equal((await ctr('head -c 1048576 /dev/urandom | $C content ingest r2')).status, 0);
      assert.equal(daemon.pid, pid);
      await daemon.restart();
      assert.match((await ctr('$C ns ls -q')).shown, /after\nbefore/);
      assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
      assert.deepEqual(readdirSync(join(daemon.root, 'content/ingest')).length <= 1, true);
    });
  });
}

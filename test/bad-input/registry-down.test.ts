import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Generation, generations, runLine } from '../clients/table.ts';
import { violationsAtRest } from '../kit/checker.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { TestRegistry } from '../kit/registry.ts';
import { output } from '../kit/run.ts';
import { until } from '../kit/until.ts';

const sizeBytes = 96 << 20;

/** An OCI layout with one layer that does not compress. */
async function makeBigLayout(dir: string): Promise<string> {
  const layout = join(dir, 'big-layout');
  const image = `${layout}:big`;
  const tree = join(dir, 'tree');
  mkdirSync(tree);
  writeFileSync(join(tree, 'random'), randomBytes(sizeBytes));
  await output('umoci', ['init', '--layout', layout]);
  await output('umoci', ['new', '--image', image]);
  await output('umoci', ['insert', '--image', image, tree, '/data']);
  return image;
}

/** Bytes of ingests that have begun. */
function ingestedBytes({ root }: TestDaemon): number {
  const ingests = join(root, 'content/ingest');
  const sizeOf = (path: string): number => (existsSync(path) ? statSync(path).size : 0);
  return (existsSync(ingests) ? readdirSync(ingests, { recursive: true, encoding: 'utf8' }) : [])
    .map((name) => sizeOf(join(ingests, name)))
    .reduce((a, b) => a + b, 0);
}

describe('a registry that is killed midway', () => {
  for (const generation of Object.keys(generations) as Generation[]) {
    test(`ends the pull of ctr ${generation} with a clear error; from another registry it goes on`, async () => {
      await using registry = await TestRegistry.start();
      const layout = await makeBigLayout(registry.dir);
      const image = await registry.push(layout, 'big');
      await using daemon = await startDaemon();
      const { pid } = daemon;
      const pull = runLine(
        daemon,
        generation,
        '$C images pull --plain-http $IMG 2>&1 | tail -2; exit $' + '{PIPESTATUS[0]}',
        { IMG: image },
      );
      await until(() => ingestedBytes(daemon) >= 1 << 20, 'a megabyte');
      await registry.stop();
      const { status, shown } = await pull;
      assert.notEqual(status, 0);
      assert.match(
        shown,
        /connection refused|ECONNREFUSED|ECONNRESET|reset|unexpected EOF|unavailable|ended/i,
      );
      const ctr = (line: string) => runLine(daemon, generation, line);
      assert.equal((await ctr('$C images ls -q; $C snapshots ls | tail -n +2')).shown, '');
      assert.match((await ctr('$C version')).shown, /2\.3\.4/);
      assert.equal(daemon.pid, pid);
      await ctr('$C leases create --id gc; $C leases rm --sync gc');
      assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);

      await using other = await TestRegistry.start();
      const again = await other.push(layout, 'big');
      const pulled = await runLine(
        daemon,
        generation,
        '$C images pull --plain-http $IMG >/dev/null && $C images check | tail -1',
        { IMG: again },
      );
      assert.match(pulled.shown, /complete \(\d\/\d\) .* true$/);
      assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
    });
  }
});

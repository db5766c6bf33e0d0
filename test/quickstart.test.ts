import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mountsBelow } from './kit/daemon.ts';
import { bin, top } from './kit/paths.ts';
import { output, run } from './kit/run.ts';

const quickstart = join(top, 'scripts/quickstart');
const inUse = existsSync('/var/lib/berth') && !existsSync('/var/lib/berth/.quickstart');

test('quickstart ends with the output of a container from a registry, may be run again, and takes everything down', {
  skip: inUse && '/var/lib/berth belongs to somebody who uses Berth here',
  timeout: 300_000,
}, async () => {
  try {
    for (const round of ['first', 'second']) {
      const { status, stdout, stderr } = await run(quickstart, [], { timeoutMs: 240_000 });
      assert.equal(status, 0, `${round} run:\n${stdout}${stderr}`);
      assert.match(stdout, /^Hello from a container: pid 1, Linux /m);
      assert.match(stdout, /^[0-9a-f]{12} .* Up .* quickstart$/m);
    }
    assert.match(await output(bin('berth'), ['logs', 'quickstart']), /\d\d:\d\d:\d\d/);
  } finally {
    await output(quickstart, ['--down'], { timeoutMs: 120_000 });
  }
  for (const left of ['/var/lib/berth', '/run/berth', '/run/berth-quickstart.pid'])
    assert.ok(!existsSync(left), `${left} is left`);
  assert.deepEqual([...mountsBelow('/var/lib/berth'), ...mountsBelow('/run/berth')], []);
});

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Outputs } from './outputs.ts';
import type { StdioPlace } from './stdio.ts';

test('I6: the exit waits until a logger has taken every byte, not until it ends', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'berth-outputs-'));
  const log = join(dir, 'log');
  // As nerdctl's: it hears of the exit before it ends.
  const program = `exec 5>&-; head -c 200005 <&3 >${log}; until [ -e ${dir}/told ]; do sleep 0.1; done; echo end >>${log}`;
  const uri = `binary:///bin/sh?${new URLSearchParams({ '-c': program })}`;
  const place = { prefix: join(dir, 'init-'), found: new Map(), ioUid: 0, ioGid: 0 } as unknown as StdioPlace;
  const outputs = new Outputs({ stdin: '', stdout: uri, stderr: '', terminal: false }, place);
  try {
    await outputs.ready;
    const { stdout } = outputs;
    assert.ok(stdout);
    writeSync(stdout.containerFd, `${'x'.repeat(200_000)}hello`);
    stdout.ended();
    const busy = setInterval(() => {}, 1_000);
    await stdout.drained;
    clearInterval(busy);
    writeFileSync(join(dir, 'told'), '');
    while (!readFileSync(log, 'utf8').endsWith('end\n')) await sleep(10);
    assert.equal(readFileSync(log, 'utf8'), `${'x'.repeat(200_000)}helloend\n`);
  } finally {
    rmSync(dir, { recursive: true });
    outputs[Symbol.dispose]();
  }
});

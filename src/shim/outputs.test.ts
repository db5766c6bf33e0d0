import assert from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Outputs } from './outputs.ts';
import type { StdioPlace } from './stdio.ts';

/** Outputs into a logger that is a line of sh; `$log` and `$told` are files in `dir`. */
function logged(line: string) {
  const dir = mkdtempSync(join(tmpdir(), 'berth-outputs-'));
  const [log, told] = [join(dir, 'log'), join(dir, 'told')];
  const uri = `binary:///bin/sh?${new URLSearchParams({ '-c': `log=${log} told=${told}; exec 5>&-; ${line}` })}`;
  const place = { prefix: join(dir, 'init-'), found: new Map(), ioUid: 0, ioGid: 0 } as unknown as StdioPlace;
  const outputs = new Outputs({ stdin: '', stdout: uri, stderr: '', terminal: false }, place);
  const { stdout } = outputs;
  assert.ok(stdout);
  // What it waits for does not keep a process going by itself.
  const busy = setInterval(() => {}, 1_000);
  return {
    outputs,
    stdout,
    told,
    logHas: async (end: string) => {
      for (const until = Date.now() + 30_000; Date.now() < until; await sleep(10))
        if (existsSync(log) && readFileSync(log, 'utf8').endsWith(end)) return readFileSync(log, 'utf8');
      throw new Error(`the log has no ${end}`);
    },
    [Symbol.dispose]: () => {
      clearInterval(busy);
      outputs[Symbol.dispose]();
      rmSync(dir, { recursive: true });
    },
  };
}

test('I6: the exit waits until a logger has taken every byte, not until it ends', async () => {
  // As nerdctl's: it hears of the exit before it ends.
  const program = 'head -c 200005 <&3 >$log; until [ -e $told ]; do sleep 0.1; done; echo end >>$log';
  using own = logged(program);
  await own.outputs.ready;
  writeSync(own.stdout.containerFd, `${'x'.repeat(200_000)}hello`);
  own.stdout.ended();
  await own.stdout.drained;
  writeFileSync(own.told, '');
  assert.equal(await own.logHas('end\n'), `${'x'.repeat(200_000)}helloend\n`);
});

test('a logger that ends too early is started again, and gets what was written meanwhile', async () => {
  using own = logged('read -r line <&3; echo "$line" >>$log');
  await own.outputs.ready;
  const writer = openSync(`/proc/self/fd/${own.stdout.containerFd}`, 'r+');
  writeSync(writer, 'one\n');
  await own.logHas('one\n');
  writeSync(writer, 'two\n');
  await own.logHas('two\n');
  writeSync(writer, 'three\n');
  closeSync(writer);
  own.stdout.ended();
  await own.stdout.drained;
  assert.equal(await own.logHas('three\n'), 'one\ntwo\nthree\n');
});

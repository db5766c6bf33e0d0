import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '../kit/run.ts';
import { Stage } from './stage.ts';

const examples = resolve(import.meta.dirname, '../../examples');
let stage: Stage;
before(async () => {
  stage = await Stage.open();
});
after(() => stage[Symbol.asyncDispose]());

const example = (name: string, ...args: string[]) =>
  run(process.execPath, [join(examples, name), ...args], { env: stage.env });

test('every example is short and is run here', () => {
  const names = readdirSync(examples).filter((name) => name.endsWith('.ts'));
  assert.deepEqual(names.toSorted(), ['events.ts', 'pull.ts', 'run.ts']);
  for (const name of names)
    assert.ok(readFileSync(join(examples, name), 'utf8').split('\n').length < 31, name);
});

test('examples/pull.ts shows progress and the digest', async () => {
  const { status, stdout, stderr } = await example('pull.ts', stage.image);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /downloading \d+%/);
  assert.match(stdout, / is sha256:[0-9a-f]{64}\n$/);
});

test('examples/run.ts streams output and passes the status', async () => {
  const { status, stdout, stderr } = await example(
    'run.ts',
    stage.image,
    'sh',
    '-c',
    'echo out; echo err >&2; exit 3',
  );
  assert.deepEqual([status, stdout, stderr], [3, 'out\n', 'err\n']);
  assert.equal(await stage.ok('ps', '-aq'), '');
});

test('examples/events.ts shows what happens', async () => {
  const child = spawn(process.execPath, [join(examples, 'events.ts')], {
    env: { ...process.env, ...stage.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  for (let tries = 0; tries < 10 && !shown.includes('/images/'); tries++) {
    await stage.ok('pull', '-q', stage.image);
    await stage.ok('tag', stage.image, `t:${tries}`);
  }
  const ended = once(child, 'exit');
  child.kill('SIGINT');
  const [status] = await ended;
  assert.equal(status, 0);
  assert.match(shown, /default \/images\/create \{"name":/);
});

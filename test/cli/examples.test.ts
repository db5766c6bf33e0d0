import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '../kit/run.ts';
import { until } from '../kit/until.ts';
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
  assert.deepEqual(names.toSorted(), [
    'commit.ts',
    'copy.ts',
    'events.ts',
    'metrics.ts',
    'pull.ts',
    'run.ts',
    'shell.ts',
  ]);
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

test('examples/commit.ts makes an image that runs', async () => {
  const { status, stdout, stderr } = await example('commit.ts', stage.image, 'notes', 'echo hello >/hello');
  assert.equal(status, 0, stderr);
  assert.match(stdout, /notes:latest is sha256:[0-9a-f]{64}\n$/);
  assert.equal(await stage.ok('run', '--rm', 'notes'), 'hello');
});

test('examples/shell.ts is a shell, on a terminal and off', async () => {
  const id = await stage.ok('run', '-d', stage.image, 'sleep', '1000');
  try {
    const piped = await example('shell.ts', id, 'sh', '-c', 'echo out; exit 4');
    assert.deepEqual([piped.status, piped.stdout], [4, 'out\n'], piped.stderr);
    await using screen = stage.terminal(`${process.execPath} ${join(examples, 'shell.ts')} ${id}`);
    await screen.see(/#/);
    screen.type('tty; exit 5\r');
    await screen.see(/\/dev\/pts\//);
    await screen.end();
  } finally {
    await stage.ok('rm', '-f', id);
  }
});

test('examples/copy.ts copies in and out', async () => {
  const id = await stage.ok('run', '-d', stage.image, 'sleep', '1000');
  const file = join(stage.daemon.dir, 'etc.tar');
  try {
    const { status, stderr } = await example('copy.ts', id, '/etc', '/tmp', file);
    assert.equal(status, 0, stderr);
    assert.match((await run('tar', ['-tf', file])).stdout, /^tmp\/etc\/passwd$/m);
  } finally {
    await stage.ok('rm', '-f', id);
  }
});

test('examples/metrics.ts shows what containers use', async () => {
  const id = await stage.ok('run', '-d', stage.image, 'sleep', '1000');
  try {
    await shows('metrics.ts', new RegExp(`${id} [0-9.]+% CPU \\d+ bytes 1 processes`));
  } finally {
    await stage.ok('rm', '-f', id);
  }
});

test('examples/events.ts shows what happens', async () => {
  await stage.ok('pull', '-q', stage.image);
  let tries = 0;
  await shows('events.ts', /default \/images\/create \{"name":/, async () => {
    await stage.ok('tag', stage.image, `t:${tries++}`);
  });
});

/** Runs an example that goes on until Ctrl-C, until it has shown `pattern`; `meanwhile` gives it something to show. */
async function shows(name: string, pattern: RegExp, meanwhile = async () => {}): Promise<void> {
  const child = spawn(process.execPath, [join(examples, name)], {
    env: { ...process.env, ...stage.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  try {
    const isShown = async () => {
      if (pattern.test(shown)) return true;
      await meanwhile();
      return false;
    };
    await until(isShown, () => `${pattern} in ${shown}`);
    child.kill('SIGINT');
    assert.equal((await ended)[0], 0);
  } finally {
    child.kill('SIGKILL');
  }
}

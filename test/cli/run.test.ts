import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { run as runProgram } from '../kit/run.ts';
import { program, Stage } from './stage.ts';

let stage: Stage;
let image: string;
const scratch = mkdtempSync(join(tmpdir(), 'berth-cli-'));

before(async () => {
  stage = await Stage.open();
  image = stage.image;
});
after(async () => {
  await stage[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true });
});

const run = (...args: string[]) => stage.berth(['run', '--rm', ...args]);
const sh = async (script: string, ...flags: string[]) => {
  const { status, stdout, stderr } = await run(...flags, image, 'sh', '-c', script);
  assert.equal(status, 0, stderr);
  return stdout.trim();
};

/** Left running by tests that end well: nothing. */
async function assertNothingLeft(): Promise<void> {
  assert.equal(await stage.ok('ps', '-aq'), '');
}

test('run pulls a missing image, shows progress on stderr and the output alone on stdout', async () => {
  const { status, stdout, stderr } = await run(image, 'echo', 'hello');
  assert.deepEqual([status, stdout], [0, 'hello\n']);
  assert.match(stderr, /downloading/);
  await assertNothingLeft();
});

test('the exit status is the container’s; 127 without the command, 126 when it cannot run, 125 when Berth fails', async () => {
  const table: [string[], number, RegExp][] = [
    [[image, 'sh', '-c', 'exit 3'], 3, /^$/],
    [[image, 'sh', '-c', 'sh -c "kill -9 \\$\\$"; exit $?'], 137, /./],
    [[image, 'nope'], 127, /^berth: run: .*nope/],
    [[image, '/etc/passwd'], 126, /permission denied/],
    [['--pull', 'never', 'nope'], 125, /^berth: image nope is not here/],
    [['-v', '/does/not/exist:/x', image, 'true'], 125, /mount source \/does\/not\/exist does not exist/],
    [['-u', 'nobody-here', image, 'true'], 125, /nobody-here/],
    [['--cap-add', 'FROB', image, 'true'], 125, /FROB/i],
    [['--runtime', 'io.nope.v1', image, 'true'], 125, /containerd-shim-nope-v1.*\n.*--runtime crun/],
    [['--runtime', 'nope', image, 'true'], 125, /"nope": executable file not found/],
    [['--runtime', 'runc', image, 'sh', '-c', 'exit 5'], 5, /^$/],
  ];
  for (const [args, status, message] of table) {
    const result = await run(...args);
    assert.equal(result.status, status, `${args.join(' ')}: ${result.stderr}`);
    assert.match(result.stderr, message, args.join(' '));
  }
  await assertNothingLeft();
});

test('piped input reaches the container whole, and its end too', async () => {
  assert.equal((await stage.berth(['run', '--rm', '-i', image, 'cat'], { input: 'hi\n' })).stdout, 'hi\n');
  const input = 'x'.repeat(3 << 20);
  const counted = await stage.berth(['run', '--rm', '-i', image, 'wc', '-c'], { input });
  assert.equal(counted.stdout.trim(), String(3 << 20));
});

test('a container that does not read its input ends all the same', async () => {
  const line = `head -c 3000000 /dev/zero | ${program} run --rm -i ${image} true`;
  assert.equal((await runProgram('bash', ['-c', line], { env: stage.env })).status, 0);
});

test('stdout and stderr stay apart and are complete', async () => {
  const { stdout, stderr } = await run(image, 'sh', '-c', 'seq 200000; echo err >&2');
  assert.equal(stdout.split('\n').length, 200_001);
  assert.equal(stderr, 'err\n');
});

test('flags shape the container as in docker', async () => {
  writeFileSync(join(scratch, 'env'), '# c\nF=file\nHERE\n');
  writeFileSync(join(scratch, 'data'), 'data');
  const here = { env: { HERE: 'h', E: 'own' } };
  const flags = ['-e', 'A=1', '-e', 'E', '--env-file', join(scratch, 'env')];
  const env = await stage.berth(['run', '--rm', ...flags, image, 'sh', '-c', 'echo $A$E$F$HERE'], here);
  assert.equal(env.stdout, '1ownfileh\n');
  assert.equal(await sh('pwd', '-w', '/tmp'), '/tmp');
  assert.equal(await sh('id -u; id -g', '-u', '12:34'), '12\n34');
  assert.equal(await sh('hostname', '-h', 'boat'), 'boat');
  assert.equal(
    await sh('cat /m/data; touch /m/x 2>&1 | grep -c Read-only', '-v', `${scratch}:/m:ro`),
    'data1',
  );
  assert.equal(await sh('cat /m/data', '--mount', `type=bind,src=${scratch},dst=/m`), 'data');
  assert.match(
    await sh('grep " /t " /proc/mounts', '--tmpfs', '/t:size=1m'),
    /^tmpfs \/t tmpfs .*size=1024k/,
  );
  assert.match(await sh('touch /x 2>&1; true', '--read-only'), /Read-only file system/);
  assert.equal((await run('--entrypoint', 'echo', image, 'a', 'b')).stdout, 'a b\n');
  const caps = await sh('grep CapEff /proc/self/status', '--cap-drop', 'ALL');
  assert.match(caps, /0{16}$/);
  assert.match(
    await sh('grep CapEff /proc/self/status', '--cap-drop', 'ALL', '--cap-add', 'NET_ADMIN'),
    /0{12}1000$/,
  );
  assert.equal(await sh('ls /sys/class/net', '--net', 'none'), 'lo');
  assert.match(await sh('grep Seccomp: /proc/self/status', '--security-opt', 'seccomp=unconfined'), /\t0$/);
  await sh('true', '--memory', '64m', '--cpus', '0.5', '--pids-limit', '50');
  await assertNothingLeft();
});

test('a detached container lives through its life: ps, logs, exec, stop, start, rm', async () => {
  const script = 'echo started; trap "echo bye; exit 7" TERM; while :; do sleep 0.1; done';
  const id = await stage.ok('run', '-d', '--name', 'web', '-l', 'tier=front', image, 'sh', '-c', script);
  assert.match(id, /^[0-9a-f]{64}$/);
  assert.match(await stage.ok('ps'), /Up .* web$/m);
  assert.equal(await stage.ok('ps', '-q', '--no-trunc', '--filter', 'label=tier=front'), id);
  assert.equal(await stage.ok('ps', '-q', '--filter', 'label=tier=back'), '');
  assert.equal(await stage.ok('exec', id.slice(0, 8), 'echo', 'in'), 'in');
  assert.equal((await stage.berth(['exec', 'web', 'sh', '-c', 'exit 4'])).status, 4);
  const missing = await stage.berth(['exec', 'web', 'nope']);
  assert.equal(missing.status, 127);
  assert.equal(missing.stderr.match(/executable file not found/g)?.length, 1, missing.stderr);
  assert.equal((await stage.berth(['exec', '-i', 'web', 'cat'], { input: 'in' })).stdout, 'in');
  assert.equal(
    await stage.ok('exec', '-e', 'X=1', '-w', '/tmp', '-u', '5', 'web', 'sh', '-c', 'echo $X; pwd; id -u'),
    '1\n/tmp\n5',
  );
  const running = await stage.berth(['rm', 'web']);
  assert.equal(running.status, 1);
  assert.match(running.stderr, /is running\nhint: stop it first: berth stop web/);
  assert.match((await stage.berth(['rmi', image])).stderr, /is used by the running container web/);
  assert.equal(await stage.ok('stop', 'web'), 'web');
  assert.match(await stage.ok('ps', '-a'), /Exited \(7\)/);
  const late = await stage.berth(['exec', 'web', 'true']);
  assert.equal(late.status, 125);
  assert.equal(late.stderr, 'berth: container web is not running\nhint: start it: berth start web\n');
  assert.equal(await stage.ok('logs', 'web'), 'started\nbye');
  assert.match(await stage.ok('logs', '-t', '--tail', '1', 'web'), /^\d{4}-.*Z bye$/);
  assert.equal(await stage.ok('logs', '--since', '1h', 'web'), 'started\nbye');
  await stage.ok('start', 'web');
  assert.equal(await stage.ok('inspect', 'web', '-f', '{{.State.Status}}'), 'running');
  assert.equal((await stage.berth(['exec', 'nope', 'x'])).status, 1);
  await stage.ok('kill', '-s', 'KILL', 'web');
  await stage.ok('rm', '-f', 'web');
  assert.match((await stage.berth(['logs', 'web'])).stderr, /no container is called "web"/);
  await assertNothingLeft();
});

test('output that nobody reads any more: the container goes on, and the user is told how to end it', async () => {
  const line = `set -o pipefail; ${program} run --name flood ${image} yes | head -1`;
  const { status, stdout, stderr } = await runProgram('bash', ['-c', line], { env: stage.env });
  assert.equal(stdout, 'y\n');
  assert.equal(status, 141);
  assert.match(stderr, /container [0-9a-f]{12} goes on\nhint: end it: berth rm -f/);
  assert.match(await stage.ok('ps'), /flood$/m);
  await stage.ok('rm', '-f', 'flood');
  await assertNothingLeft();
});

test('logs -f follows until the container ends', async () => {
  await stage.ok(
    'run',
    '-d',
    '--name',
    'tick',
    image,
    'sh',
    '-c',
    'for i in 1 2 3; do echo $i; sleep 0.3; done',
  );
  assert.equal(await stage.ok('logs', '-f', 'tick'), '1\n2\n3');
  await stage.ok('rm', 'tick');
});

test('attach to a detached container shows what it writes from now and passes its status', async () => {
  const script = 'trap "echo last; exit 5" USR1; i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done';
  await stage.ok('run', '-d', '--name', 'late', image, 'sh', '-c', script);
  while ((await stage.ok('logs', 'late')) === '');
  const env = { ...process.env, ...stage.env };
  const child = spawn(program, ['attach', '--no-stdin', 'late'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const shown = text(child.stdout);
  await once(child.stdout, 'data');
  await stage.ok('kill', '-s', 'USR1', 'late');
  assert.equal((await ended)[0], 5);
  const lines = (await shown).trimEnd().split('\n');
  assert.equal(lines.pop(), 'last');
  const first = Number(lines[0]);
  assert.ok(first > 1, String(first));
  assert.deepEqual(
    lines,
    lines.map((_, n) => String(first + n)),
  );
  await stage.ok('rm', 'late');
});

test('input typed into attach reaches a detached container made with -i', async () => {
  await stage.ok(
    'run',
    '-d',
    '-i',
    '--name',
    'din',
    image,
    'sh',
    '-c',
    'while read l; do echo got $l; done; exit 4',
  );
  const { status, stdout } = await stage.berth(['attach', 'din'], { input: 'one\ntwo\n' });
  assert.deepEqual([status, stdout], [4, 'got one\ngot two\n']);
  await stage.ok('rm', 'din');
});

test('a detached container with --rm removes itself', async () => {
  await stage.ok('run', '-d', '--rm', '--name', 'brief', image, 'sleep', '0.2');
  for (let tries = 0; tries < 100 && (await stage.ok('ps', '-aq')) !== ''; tries++);
  await assertNothingLeft();
});

test('names are unique, prefixes must be clear', async () => {
  const ids = [];
  for (let i = 0; i < 17; i++) ids.push(await stage.ok('run', '-d', '--name', `n${i}`, image, 'true'));
  const first = ids.map((id) => id.slice(0, 1)).find((digit, at, all) => all.indexOf(digit) !== at) ?? '';
  assert.match((await stage.berth(['inspect', first])).stderr, new RegExp(`prefix ${first} is ambiguous: `));
  const taken = await stage.berth(['run', '-d', '--name', 'n1', image, 'true']);
  assert.equal(taken.status, 125);
  assert.match(taken.stderr, /n1/);
  await stage.ok('rm', '-f', ...ids);
  await assertNothingLeft();
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} reaches the container, whose answer is the exit status`, async () => {
    const script = 'trap "exit 42" INT TERM; echo ready; while :; do sleep 0.1; done';
    const env = { ...process.env, ...stage.env };
    const child = spawn(program, ['run', '--rm', image, 'sh', '-c', script], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    await once(child.stdout, 'data');
    child.kill(signal);
    const [status] = await ended;
    assert.equal(status, 42);
    await assertNothingLeft();
  });
}

test('a restart of the daemon in between is not noticed', async () => {
  const env = { ...process.env, ...stage.env };
  const args = [
    'run',
    '--name',
    'calm',
    '-i',
    image,
    'sh',
    '-c',
    'echo ready; read line; echo got $line; exit 9',
  ];
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  const ended = once(child, 'exit');
  await once(child.stdout, 'data');
  await stage.daemon.restart('SIGKILL');
  child.stdin.end('word\n');
  const [status] = await ended;
  assert.deepEqual([status, shown], [9, 'ready\ngot word\n']);
  await stage.ok('rm', 'calm');
});

test('events show a run, as lines and as JSON', async () => {
  const env = { ...process.env, ...stage.env };
  const child = spawn(program, ['events', '--json', '-f', 'topic~=^/tasks/'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  for (let tries = 0; tries < 10 && !shown.includes('/tasks/delete'); tries++) await run(image, 'true');
  const ended = once(child, 'exit');
  child.kill('SIGINT');
  const [status] = await ended;
  assert.equal(status, 0);
  const events = shown
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const topics = new Set(events.map(({ Topic }) => Topic));
  for (const topic of ['/tasks/create', '/tasks/start', '/tasks/exit', '/tasks/delete'])
    assert.ok(topics.has(topic), topic);
  assert.ok(
    events.every(({ Namespace, Event }) => Namespace === 'default' && Event.containerId !== undefined),
  );
});

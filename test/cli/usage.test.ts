import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../kit/run.ts';
import { program } from './stage.ts';

const nowhere = { BERTH_ADDRESS: '/nowhere/berth.sock', NO_COLOR: '1' };
const berth = (args: readonly string[], input?: string) =>
  run(program, args, { env: nowhere, ...(input === undefined ? {} : { input }) });

test('every command has help, and help needs no daemon', async () => {
  const { stdout } = await berth(['--help']);
  const names = [...stdout.matchAll(/^ {2}([a-z]+)(?:\|[a-z]+)* {2,}\S/gm)].map(([, name]) => name ?? '');
  assert.ok(names.length >= 35, `${names.length} commands`);
  for (const name of names) {
    const help = await berth([name, '--help']);
    assert.equal(help.status, 0, name);
    assert.match(help.stdout, new RegExp(`^Usage: berth ${name}`), name);
    assert.match(help.stdout, /--json and --format: berth --help/, name);
  }
  assert.match((await berth(['help', 'run'])).stdout, /--entrypoint/);
});

test('a wrong command line is told in one line, with the way to help, status 2, or 125 where it could be a container', async () => {
  const table: [string[], number, RegExp][] = [
    [['nope'], 2, /^berth: unknown command 'nope'/],
    [['ps', '--nope'], 2, /^berth: unknown option '--nope'\nSee 'berth ps --help'\.$/m],
    [['runn'], 2, /^berth: unknown command 'runn'\n\(Did you mean run\?\)/],
    [['__proto__'], 2, /^berth: unknown command '__proto__'/],
    [['compose', 'x'], 2, /^berth: compose is not supported: it comes later/],
    [['login', '-u', 'me', '--password', ''], 1, /^berth: a user name .* and a password are needed/],
    [['login'], 1, /^berth: the input is not a terminal to ask on\nhint: give --username/],
    [['run', '-p', '80:80', 'x'], 125, /^berth: -p is not supported: .*--net host/],
    [['run', '--publish=80:80', 'x'], 125, /^berth: --publish=80:80 is not supported: .*--net host/],
    [['run'], 125, /^berth: missing required argument 'image'/],
    [['run', '--memory', 'x', 'busybox'], 125, /^berth: run: invalid size "x", want/],
    [['run', '--net', 'bridge', 'busybox'], 125, /want host or none/],
    [['run', '-it', 'busybox'], 125, /^berth: the input is not a terminal\nhint: leave out -t/],
    [['logs', '--since', 'soon', 'x'], 1, /cannot reach the daemon/],
    [['completion', 'tcsh'], 2, /no completion for "tcsh"\nhint: bash, zsh or fish/],
  ];
  for (const [args, status, message] of table) {
    const result = await berth(args, '');
    assert.equal(result.status, status, args.join(' '));
    assert.match(result.stderr, message, args.join(' '));
    assert.equal(result.stdout, '', args.join(' '));
  }
});

test('an absent daemon is told with the way to start it', async () => {
  for (const args of [
    ['ps'],
    ['images'],
    ['pull', 'x'],
    ['push', 'x'],
    ['tags', 'x'],
    ['run', 'x'],
    ['events'],
    ['info'],
  ]) {
    const result = await berth(args, '');
    assert.equal(result.status, args[0] === 'run' ? 125 : 1, args.join(' '));
    assert.match(
      result.stderr,
      /^berth: cannot reach the daemon at \/nowhere\/berth\.sock: no such socket\nhint: start the daemon/,
    );
  }
});

test('--debug shows causes, the plain message does not', async () => {
  assert.match((await berth(['ps', '--debug'])).stderr, /\n {2}.*at /);
  assert.doesNotMatch((await berth(['ps'])).stderr, /\n {2}/);
});

test('a closed pipe is no failure', async () => {
  const { status, stderr } = await run('bash', ['-c', `set -o pipefail; ${program} run --help | head -1`], {
    env: nowhere,
  });
  assert.equal(stderr, '');
  assert.equal(status, 0);
});

test('the bash completion completes commands, flags and words', async () => {
  const { stdout: script } = await berth(['completion', 'bash']);
  const complete = async (...words: string[]) => {
    const list = words.map((word) => `'${word}'`).join(' ');
    const line = `COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _berth; echo "\${COMPREPLY[@]}"`;
    return (await run('bash', ['-c', `${script}\n${line}`], { env: nowhere })).stdout.trim();
  };
  assert.equal(await complete('berth', 'ver'), 'version');
  assert.equal(await complete('berth', '-n', 'x', 'run', '--entry'), '--entrypoint');
  assert.equal(await complete('berth', 'completion', 'z'), 'zsh');
});

test('the scripts for zsh and fish name every command and flag', async () => {
  const { stdout: zsh } = await berth(['completion', 'zsh']);
  const { stdout: fish } = await berth(['completion', 'fish']);
  for (const word of ['namespaces', 'inspect', 'entrypoint', 'pids-limit']) {
    assert.ok(zsh.includes(word), word);
    assert.ok(fish.includes(word), word);
  }
});

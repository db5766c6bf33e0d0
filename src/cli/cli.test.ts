import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command } from 'commander';
import type { Container } from '../client/index.ts';
import { toRow } from './container-rows.ts';
import { choose } from './containers.ts';
import { pickCredentials } from './credentials.ts';
import { startExitCode } from './failure.ts';
import { splitName } from './images.ts';
import { commands, runOptions } from './not-here.ts';
import { makeProgram } from './program.ts';
import { Lines } from './progress.ts';
import { addRunOptions, containerOptions, type RunOptions } from './run-options.ts';
import { DetachFilter, findDetachKeys, keepLineFeeds } from './terminal.ts';

function container(id: string, name = ''): Container {
  const spec = { process: { args: ['sh', '-c', 'sleep 1000; echo \x1b'], terminal: false } };
  return {
    id,
    labels: name === '' ? {} : { 'berth/name': name },
    image: 'docker.io/library/busybox:latest',
    runtime: { name: 'io.containerd.runc.v2' },
    spec: { typeUrl: 'x', value: new TextEncoder().encode(JSON.stringify(spec)) },
    snapshotter: 'overlayfs',
    snapshotKey: id,
    createdAt: new Date(0),
    updatedAt: new Date(0),
    extensions: {},
    sandboxId: '',
  };
}

test('a container is found by id, by name before prefix, and by a prefix that is its alone', () => {
  const all = [container('abc1', 'web'), container('abd2', 'abc'), container('ff00')];
  assert.equal(choose(all, 'abc1').id, 'abc1');
  assert.equal(choose(all, 'web').id, 'abc1');
  assert.equal(choose(all, 'abc').id, 'abd2');
  assert.equal(choose(all, 'f').id, 'ff00');
  assert.throws(() => choose(all, 'ab'), /ambiguous: abc1, abd2/);
  assert.throws(() => choose(all, 'nope'), /no container is called "nope"/);
});

test('a row tells state, age and command as docker does', () => {
  const task = {
    containerId: 'a',
    pid: 5,
    status: 'stopped' as const,
    terminal: false,
    exitCode: 3,
    exitedAt: new Date(60_000),
    stdio: { stdin: '', stdout: '', stderr: '' },
  };
  const row = toRow(container('a'.repeat(64), 'web'), task, true, 120_000);
  assert.equal(row.ID, 'aaaaaaaaaaaa');
  assert.equal(row.Image, 'busybox');
  assert.equal(row.Status, 'Exited (3) 1 minute ago');
  assert.equal(row.Command.length, 22);
  assert.equal(toRow(container('a'), undefined, true, 0).Status, 'Created');
  assert.equal(toRow(container('a'), { ...task, status: 'running' }, true, 120_000).Status, 'Up 2 minutes');
});

test('names are split as docker shows them', () => {
  assert.deepEqual(splitName('docker.io/library/redis:7'), { repository: 'redis', tag: '7' });
  assert.deepEqual(splitName('docker.io/me/app:1'), { repository: 'me/app', tag: '1' });
  assert.deepEqual(splitName('localhost:5555/x/y:z'), { repository: 'localhost:5555/x/y', tag: 'z' });
  assert.deepEqual(splitName('not a name'), { repository: 'not a name', tag: '<none>' });
});

test('registry logins are taken from docker, with the old names of Docker Hub', () => {
  const auth = Buffer.from('me:se:cret').toString('base64');
  const auths = {
    'https://index.docker.io/v1/': { auth },
    'r.example': { identitytoken: 't' },
    broken: { auth: '!' },
  };
  assert.deepEqual(pickCredentials(auths, 'docker.io'), { username: 'me', password: 'se:cret' });
  assert.deepEqual(pickCredentials(auths, 'registry-1.docker.io'), { username: 'me', password: 'se:cret' });
  assert.deepEqual(pickCredentials(auths, 'r.example'), { refreshToken: 't' });
  assert.equal(pickCredentials(auths, 'broken'), undefined);
  assert.equal(pickCredentials(auths, 'evil.example'), undefined);
});

test("docker's exit codes tell a missing command from one that cannot run", () => {
  const table: Record<string, number> = {
    'executable file `nope` not found in $PATH: No such file or directory': 127,
    'exec: "nope": executable file not found in $PATH': 127,
    'exec: "/nope": stat /nope: no such file or directory': 127,
    'exec: "/etc/passwd": permission denied': 126,
    'exec /x: exec format error': 126,
    'image is not here': 125,
    'no space left on device': 125,
  };
  for (const [message, code] of Object.entries(table)) assert.equal(startExitCode(message), code, message);
});

test('piped progress is a line for each change, not for each byte', () => {
  const lines: string[] = [];
  const view = new Lines({ write: (text: string) => lines.push(text) });
  const step = { name: `layer-sha256:${'ab'.repeat(32)}`, parents: [], totalBytes: 2000 };
  for (const doneBytes of [0, 500, 1000]) view.show({ ...step, event: 'downloading', doneBytes });
  view.show({ ...step, event: 'complete', doneBytes: 2000 });
  assert.deepEqual(lines, ['abababababab: downloading (2kB)\n', 'abababababab: complete (2kB)\n']);
});

test('detach keys are found across reads, and what only began like them is passed on', () => {
  const keys = findDetachKeys('ctrl-p,ctrl-q');
  assert.deepEqual(keys, [16, 17]);
  const filter = new DetachFilter([16, 17]);
  assert.deepEqual(filter.filter(Uint8Array.of(97, 16)), { pass: Uint8Array.of(97), detached: false });
  assert.deepEqual(filter.filter(Uint8Array.of(98)), { pass: Uint8Array.of(16, 98), detached: false });
  assert.deepEqual(filter.filter(Uint8Array.of(16, 16)), { pass: Uint8Array.of(16), detached: false });
  assert.equal(filter.filter(Uint8Array.of(17)).detached, true);
  assert.equal(findDetachKeys('ctrl-!'), undefined);
});

test('a bare line feed goes straight down, also when its carriage return came in the chunk before', () => {
  const change = keepLineFeeds();
  assert.deepEqual([...change(Buffer.from('a\nb\r'))], [...Buffer.from('a\vb\r')]);
  assert.deepEqual([...change(Buffer.from('\n\n'))], [...Buffer.from('\n\v')]);
});

test('run options become container options; what cannot be is refused', () => {
  const base: RunOptions = { pull: 'missing', sigProxy: true, detachKeys: 'ctrl-p,ctrl-q' };
  const here = { env: { A: 'x' }, cwd: '/' };
  const made = containerOptions(
    'busybox',
    ['true'],
    {
      ...base,
      tty: true,
      env: ['A', 'B=2', 'C'],
      memory: '64m',
      cpus: '0.5',
      pidsLimit: '-1',
      volume: ['/tmp:/t:ro'],
      label: ['k=v'],
      securityOpt: ['seccomp=unconfined', 'no-new-privileges=false'],
    },
    here,
  );
  assert.deepEqual(made.env, ['TERM=xterm', 'A=x', 'B=2']);
  assert.deepEqual(
    [made.memoryBytes, made.cpuMillis, made.pidsLimit, made.seccomp, made.newPrivilegesAllowed],
    [64 << 20, 500, 0, 'unconfined', true],
  );
  const bad: Partial<RunOptions>[] = [
    { network: 'bridge' },
    { volume: ['/does/not/exist:/x'] },
    { securityOpt: ['apparmor=x'] },
    { stopSignal: 'FOO' },
    { envFile: ['/does/not/exist'] },
  ];
  for (const one of bad)
    assert.throws(() => containerOptions('x', [], { ...base, ...one }, here), JSON.stringify(one));
});

test('what is said not to be here is not here', () => {
  const program = makeProgram('');
  const names = program.commands.flatMap((command) => [command.name(), ...command.aliases()]);
  assert.deepEqual(
    Object.keys(commands).filter((name) => names.includes(name)),
    [],
  );
  const run = new Command();
  addRunOptions(run);
  const flags = run.options.flatMap(({ short, long }) => [short, long]);
  assert.deepEqual(
    Object.keys(runOptions).filter((flag) => flags.includes(flag)),
    [],
  );
});

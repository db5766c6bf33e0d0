import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { digestBytes } from '../../src/oci/digest.ts';
import { mediaTypes } from '../../src/oci/media-types.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { removeCgroups } from '../kit/leftovers.ts';
import { bin, ctr2, tools } from '../kit/paths.ts';
import { TestRegistry } from '../kit/registry.ts';
import { run } from '../kit/run.ts';
import { patienceMs } from '../kit/until.ts';

const namespace = `cr${process.pid}`;
const env = { PATH: `${tools}/criu/bin:${process.env.PATH}` };
/** Counts in its memory, and writes that to its root and to its output. */
const counter = 'i=0; while :; do i=$((i+1)); echo $i > /n; echo line $i; sleep 0.05; done';
const stack = new AsyncDisposableStack();
let daemon: TestDaemon;
let image: string;
let execs = 0;

before(async () => {
  const registry = stack.use(await TestRegistry.start());
  image = await registry.pushBusybox();
  daemon = stack.use(await startDaemon({ env }));
  await berth(daemon, 'pull', '--plain-http', image);
});
after(async () => {
  await stack.disposeAsync();
  await removeCgroups([namespace]);
});

async function ok(
  program: string,
  args: readonly string[],
  more: Record<string, string> = {},
): Promise<string> {
  const { status, stdout, stderr } = await run(program, args, { env: { ...env, ...more } });
  assert.equal(status, 0, `${args.join(' ')}: ${stdout}${stderr}`);
  return stdout.trim();
}

const berth = (on: TestDaemon, ...args: string[]) =>
  ok(bin('berth'), ['--namespace', namespace, ...args], { BERTH_ADDRESS: on.address, NO_COLOR: '1' });
const ctr = (...args: string[]) => ok(ctr2, ['-a', daemon.address, '-n', namespace, ...args]);

/** A number that a container counts to, once it is above another. */
async function above(least: number, read: () => Promise<string>): Promise<number> {
  for (const endMs = Date.now() + patienceMs; Date.now() < endMs; await sleep(50)) {
    const number = Number((await read()).split(' ').at(-1));
    if (number > least) return number;
  }
  throw new Error(`it has not counted past ${least}`);
}

test('ctr containers checkpoint and restore bring back memory, files and image', async () => {
  const inside = (id: string) => () => ctr('task', 'exec', '--exec-id', `e${execs++}`, id, 'cat', '/n');
  await ctr('run', '-d', '--log-uri', `cri://${daemon.dir}/c.log`, image, 'c', 'sh', '-c', counter);
  const first = await above(5, inside('c'));
  await ctr('c', 'checkpoint', '--image', '--rw', '--task', 'c', 'kept:1');
  await above(first + 5, inside('c'));
  await ctr('task', 'kill', '-s', 'SIGKILL', 'c');
  await ctr('task', 'delete', '-f', 'c');
  await ctr('c', 'delete', 'c');
  await ctr('c', 'restore', '--live', '--rw', 'c', 'kept:1');
  const again = await above(first, inside('c'));
  await above(again, inside('c'));
  // Nothing is left of the way there.
  assert.deepEqual(readdirSync(join(daemon.root, 'checkpoints', namespace)), []);
  await ctr('task', 'kill', '-s', 'SIGKILL', 'c');
  await ctr('task', 'delete', '-f', 'c');
  await ctr('c', 'delete', 'c');
});

test('ctr tasks checkpoint writes to a path, or an image, and ends the task when it is told to', async () => {
  await ctr('run', '-d', '--null-io', image, 'p', 'sh', '-c', 'while :; do sleep 1; done');
  const path = join(daemon.dir, 'images');
  await ctr('task', 'checkpoint', '--image-path', path, '--work-path', join(daemon.dir, 'work'), 'p');
  assert.ok(existsSync(join(path, 'inventory.img')));
  assert.ok(existsSync(join(daemon.dir, 'work', 'dump.log')));
  assert.match(await ctr('task', 'ls'), /p +\d+ +RUNNING/);
  const kept = await ctr('task', 'checkpoint', '--exit', 'p');
  assert.match(kept, /^containerd\.io\/checkpoint\/p:/);
  assert.match(await ctr('task', 'ls'), /p +\d+ +STOPPED/);
  await ctr('task', 'delete', 'p');
  await ctr('c', 'delete', 'p');
  // An index of the processes, without any image, can be kept elsewhere, too.
  const archive = join(daemon.dir, 'processes.tar');
  const plain = 'kept.example/p:1';
  await ctr('images', 'tag', '--local', kept, plain);
  await berth(daemon, 'save', '-o', archive, plain);
  await using other = await startDaemon({ env });
  assert.equal(await berth(other, 'load', '-q', '--no-unpack', '-i', archive), plain);
  await berth(other, 'push', '-q', plain, `${image.split('/')[0]}/kept/p:1`);
});

test('berth checkpoint and restore: beside the original, and on another daemon with another root', async () => {
  const lines = (on: TestDaemon, name: string) => () => berth(on, 'logs', '--tail', '1', name);
  await berth(daemon, 'run', '-d', '--name', 'one', image, 'sh', '-c', counter);
  const first = await above(5, lines(daemon, 'one'));
  await berth(daemon, 'checkpoint', 'one', 'kept.example/one:2');
  await above(first + 3, lines(daemon, 'one'));
  await berth(daemon, 'restore', '--name', 'two', 'kept.example/one:2');
  await above(first, lines(daemon, 'two'));
  assert.ok(Number((await berth(daemon, 'logs', 'two')).split('\n')[0]?.split(' ').at(-1)) >= first);

  const archive = join(daemon.dir, 'kept.tar');
  await ctr('images', 'export', '--all-platforms', archive, 'kept.example/one:2', image);
  await using other = await startDaemon({ env });
  await ok(ctr2, ['-a', other.address, '-n', namespace, 'images', 'import', '--all-platforms', archive]);
  await berth(other, 'restore', '--name', 'three', 'kept.example/one:2');
  const there = await above(first, lines(other, 'three'));
  assert.equal((await berth(other, 'exec', 'three', 'sh', '-c', '[ -e /n ] && echo files')).trim(), 'files');
  await above(there, lines(other, 'three'));
  for (const [on, names] of [
    [other, ['three']],
    [daemon, ['one', 'two']],
  ] as const)
    await berth(on, 'rm', '-f', ...names);
});

/** An index of the image for this machine and another one; only the former is here after a pull. */
async function addIndex(): Promise<string> {
  const [host = ''] = image.split('/');
  const at = (name: string) => `http://${host}/v2/busybox/manifests/${name}`;
  const found = await fetch(at('latest'), { headers: { accept: mediaTypes.dockerManifest } });
  const own = await found.text();
  const put = async (text: string, mediaType: string, name: string = digestBytes(Buffer.from(text))) => {
    const response = await fetch(at(name), {
      method: 'PUT',
      body: text,
      headers: { 'content-type': mediaType },
    });
    assert.equal(response.status, 201, await response.text());
    return { mediaType, digest: digestBytes(Buffer.from(text)), size: Buffer.byteLength(text) };
  };
  const manifests = [
    { ...(await put(own, mediaTypes.dockerManifest)), platform: hostPlatform() },
    {
      ...(await put(`${own} `, mediaTypes.dockerManifest)),
      platform: { os: 'linux', architecture: 's390x' },
    },
  ];
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
  await put(JSON.stringify(index), mediaTypes.ociIndex, 'multi');
  return `${host}/busybox:multi`;
}

test('a checkpoint goes to a registry, and from there onto another daemon, where it is restored', async () => {
  const lines = (on: TestDaemon, name: string) => () => berth(on, 'logs', '--tail', '1', name);
  const multi = await addIndex();
  await berth(daemon, 'pull', '-q', '--plain-http', multi);
  await berth(daemon, 'run', '-d', '--name', 'far', multi, 'sh', '-c', counter);
  const first = await above(5, lines(daemon, 'far'));
  await berth(daemon, 'checkpoint', 'far', 'kept.example/far:1');
  await berth(daemon, 'rm', '-f', 'far');
  const [there, copy] = ['far:1', 'farther:1'].map((name) => `${image.split('/')[0]}/kept/${name}`);
  await berth(daemon, 'push', '-q', '--plain-http', 'kept.example/far:1', there ?? '');
  await berth(daemon, 'copy', '-q', '--plain-http', there ?? '', copy ?? '');
  await using other = await startDaemon({ env });
  await berth(other, 'pull', '-q', '--plain-http', multi);
  // By ctr too, whose own client fetches what it finds in the index.
  await ok(ctr2, [
    '-a',
    other.address,
    '-n',
    'ctrs',
    'images',
    'pull',
    '--local',
    '--plain-http',
    there ?? '',
  ]);
  for (const name of [there ?? '', copy ?? '']) {
    await berth(other, 'pull', '-q', '--plain-http', name);
    await berth(other, 'restore', '--name', 'far', name);
    await above(first, lines(other, 'far'));
    assert.equal(await berth(other, 'exec', 'far', 'sh', '-c', '[ -e /n ] && echo files'), 'files');
    await berth(other, 'rm', '-f', 'far');
  }
});

test('an image that is no checkpoint, and a container that does not run, are refused', async () => {
  const on = { BERTH_ADDRESS: daemon.address, NO_COLOR: '1' };
  const fails = (...args: string[]) =>
    run(bin('berth'), ['--namespace', namespace, ...args], { env: { ...env, ...on } });
  assert.match((await fails('restore', image)).stderr, /is no checkpoint of a container/);
  await berth(daemon, 'run', '--name', 'ended', image, 'true');
  const { status, stderr } = await fails('checkpoint', 'ended', 'kept.example/ended:1');
  assert.notEqual(status, 0);
  assert.match(stderr, /cannot checkpoint a stopped container|not found/);
  await berth(daemon, 'rm', 'ended');
  assert.deepEqual(
    readdirSync(join(daemon.root, 'checkpoints')).filter((name) => name.startsWith('dump-')),
    [],
  );
});

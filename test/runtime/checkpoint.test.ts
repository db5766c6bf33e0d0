import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { isKind } from '../../src/errors/error.ts';
import { CheckpointOptionsSchema, OptionsSchema } from '../../src/gen/containerd/runc/v1/runc_pb.ts';
import type { Any } from '../../src/oci/any.ts';
import { listCgroupPids } from '../../src/sys/cgroup.ts';
import { commandOf } from '../kit/daemon.ts';
import { tools } from '../kit/paths.ts';
import { until } from '../kit/until.ts';
import { Harness, mountsIn } from './harness.ts';

const PATH = `${tools}/criu/bin:${process.env.PATH}`;
const harness = new Harness({ environment: { PATH } });
after(() => harness[Symbol.asyncDispose]());
const ctx = harness.ctx();

const counter = 'i=0; while :; do i=$((i+1)); echo n $i; sleep 0.05; done';
const exit: Any = {
  typeUrl: CheckpointOptionsSchema.typeName,
  value: toBinary(CheckpointOptionsSchema, create(CheckpointOptionsSchema, { exit: true })),
};
const text = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8') : '');
const numbers = (path: string) => [...text(path).matchAll(/n (\d+)/g)].map(([, n]) => Number(n));
/** How often counting began anew somewhere. */
const breaks = (all: number[]) => all.filter((n, i) => i > 0 && n !== (all[i - 1] ?? 0) + 1).length;
const isAscending = (all: number[]) => breaks(all) === 0;

/** A log in the CRI format, whose writer is the shim. */
async function startCounting(id: string): Promise<string> {
  const log = join(harness.dir, `${id}.log`);
  await harness.tasks.create(ctx, harness.task(id, ['sh', '-c', counter], { stdout: `cri://${log}` }));
  await harness.tasks.start(ctx, id);
  await until(() => numbers(log).length > 3, 'a few lines');
  return log;
}

/** While a shim is being replaced there may be no answer. */
const findAgain = (id: string) => harness.tasks.find(ctx, id).catch(() => undefined);

async function end(id: string): Promise<void> {
  await harness.tasks.kill(ctx, id, 9);
  await harness.tasks.wait(ctx, id);
  await harness.tasks.delete(ctx, id);
}

test('a checkpoint leaves the task running, and another task goes on from where it was, into its own log', async () => {
  const log = await startCounting('first');
  const images = join(harness.dir, 'first-images');
  await harness.tasks.checkpoint(ctx, 'first', images);
  const kept = numbers(log).at(-1) ?? 0;
  await until(() => (numbers(log).at(-1) ?? 0) > kept + 3, 'the first one going on');
  assert.ok(isAscending(numbers(log)));
  const second = join(harness.dir, 'second.log');
  const wanted = harness.task('second', ['no', 'matter'], { stdout: `cri://${second}`, checkpoint: images });
  assert.equal(await harness.tasks.create(ctx, wanted), 0);
  assert.equal((await harness.tasks.get(ctx, 'second')).status, 'created');
  const pid = await harness.tasks.start(ctx, 'second');
  assert.deepEqual((await harness.tasks.get(ctx, 'second')).status, 'running');
  assert.equal((await harness.tasks.get(ctx, 'second')).pid, pid);
  await until(() => numbers(second).length > 3, 'lines of the second one');
  assert.ok((numbers(second)[0] ?? 0) > 3, 'it did not begin again');
  assert.ok(isAscending(numbers(second)));
  assert.deepEqual(await harness.topicsWhen('second', 2), ['/tasks/create', '/tasks/start']);
  // Pause, exec and a checkpoint of the restored one work as with any other.
  await harness.tasks.pause(ctx, 'second');
  await harness.tasks.checkpoint(ctx, 'second', join(harness.dir, 'second-images'));
  assert.equal((await harness.tasks.get(ctx, 'second')).status, 'paused');
  await harness.tasks.resume(ctx, 'second');
  const before = numbers(second).length;
  await until(() => numbers(second).length > before + 2, 'the second one going on');
  await end('first');
  await end('second');
  assert.deepEqual(mountsIn(harness.dir), []);
});

test('with exit the task ends by SIGKILL, paused or not; it can be restored under its own id', async () => {
  for (const paused of [false, true]) {
    const id = `leaver-${paused}`;
    const log = await startCounting(id);
    if (paused) await harness.tasks.pause(ctx, id);
    const images = join(harness.dir, `${id}-images`);
    await harness.tasks.checkpoint(ctx, id, images, exit);
    assert.equal((await harness.tasks.wait(ctx, id)).exitStatus, 137);
    await harness.tasks.delete(ctx, id);
    const last = numbers(log).at(-1) ?? 0;
    await harness.tasks.create(
      ctx,
      harness.task(id, ['none'], { stdout: `cri://${log}`, checkpoint: images }),
    );
    await harness.tasks.start(ctx, id);
    await until(() => (numbers(log).at(-1) ?? 0) > last + 2, 'it going on');
    assert.ok(isAscending(numbers(log)), 'no line twice, none lost');
    await end(id);
  }
});

test('a terminal is restored: what is typed arrives', async () => {
  const log = join(harness.dir, 'tty.log');
  const stdin = harness.fifo('tty-in');
  const stream = { terminal: true, stdout: `cri://${log}`, stdin };
  await harness.tasks.create(ctx, harness.task('tty', ['sh'], stream));
  await harness.tasks.start(ctx, 'tty');
  const type = (line: string) => writeFileSync(stdin, `${line}\n`);
  type('x=41; echo set-$x');
  await until(() => text(log).includes('set-41'), 'the shell');
  const images = join(harness.dir, 'tty-images');
  await harness.tasks.checkpoint(ctx, 'tty', images, exit);
  await harness.tasks.wait(ctx, 'tty');
  await harness.tasks.delete(ctx, 'tty');
  await harness.tasks.create(ctx, harness.task('tty', ['sh'], { ...stream, checkpoint: images }));
  await harness.tasks.start(ctx, 'tty');
  type('echo got-$((x+1))');
  await until(() => text(log).includes('got-42'), 'the same shell');
  await harness.tasks.resize(ctx, 'tty', '', { columns: 77, rows: 22 });
  type('stty size');
  await until(() => text(log).includes('22 77'), 'its new size');
  await end('tty');
});

test('a task that waits for its restore outlives the shim, can be deleted, and is not found by a kill', async () => {
  const log = await startCounting('source');
  const images = join(harness.dir, 'source-images');
  await harness.tasks.checkpoint(ctx, 'source', images, exit);
  await harness.tasks.delete(ctx, 'source');
  const wanted = () => harness.task('waiting', ['none'], { stdout: `cri://${log}2`, checkpoint: images });
  await harness.tasks.create(ctx, wanted());
  process.kill(await harness.shimPid(), 'SIGKILL');
  await until(async () => (await findAgain('waiting'))?.status === 'created', 'the next shim');
  await assert.rejects(harness.tasks.kill(ctx, 'waiting', 9), (e) => isKind(e, 'not_found'));
  await assert.rejects(harness.tasks.pause(ctx, 'waiting'), (e) => isKind(e, 'failed_precondition'));
  await harness.tasks.start(ctx, 'waiting');
  process.kill(await harness.shimPid(), 'SIGKILL');
  await until(async () => (await findAgain('waiting'))?.status === 'running', 'the third shim');
  const before = numbers(`${log}2`).length;
  await until(() => numbers(`${log}2`).length > before + 2, 'it going on');
  await end('waiting');
  await harness.tasks.create(ctx, wanted());
  await harness.tasks.delete(ctx, 'waiting');
  assert.equal(await harness.tasks.find(ctx, 'waiting'), undefined);
  assert.deepEqual(mountsIn(harness.dir), []);
});

/** Processes of the runtime and of criu that restore into a bundle of this test, or work in its cgroups. */
const restoring = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => commandOf(pid).includes(' restore ') && commandOf(pid).includes(harness.state));

test('a shim killed in the middle of a restore leaves nothing of it, and the next start restores', async () => {
  await startCounting('origin');
  const images = join(harness.dir, 'origin-images');
  await harness.tasks.checkpoint(ctx, 'origin', images, exit);
  await harness.tasks.delete(ctx, 'origin');
  const log = join(harness.dir, 'cut.log');
  for (const delayMs of [0, 10, 25, 50, 80, 120, 200]) {
    const wanted = harness.task('cut', ['none'], { stdout: `cri://${log}`, checkpoint: images });
    const cgroup = String(JSON.parse(Buffer.from(wanted.spec).toString()).linux.cgroupsPath);
    await harness.tasks.create(ctx, wanted);
    const starting = harness.tasks.start(ctx, 'cut').then(
      () => 'started',
      (error) => String(error),
    );
    await until(() => restoring().length > 0, 'the restore');
    await sleep(delayMs);
    process.kill(await harness.shimPid(), 'SIGKILL');
    const said = await starting;
    await until(async () => (await findAgain('cut')) !== undefined, 'the next shim');
    const { status, pid } = await harness.tasks.get(ctx, 'cut');
    // Whether the restore was done when the shim was killed, the clock decides; in between there is nothing.
    if (status !== 'running') {
      assert.deepEqual([status, pid, said === 'started'], ['created', 0, false], `${delayMs} ms: ${said}`);
      assert.deepEqual(restoring(), [], `${delayMs} ms`);
      assert.deepEqual(listCgroupPids(cgroup), [], `${delayMs} ms: processes of the half-made one are left`);
      await harness.tasks.start(ctx, 'cut');
    }
    const seen = numbers(log).length;
    await until(() => numbers(log).length > seen + 2, 'it going on');
    // One writer, which goes on from the checkpoint; the one that was cut may have written before it was killed.
    const written = numbers(log);
    assert.ok(breaks(written) <= (status === 'running' ? 0 : 1), `${delayMs} ms, ${status}: ${written}`);
    await end('cut');
    rmSync(log);
    assert.deepEqual(listCgroupPids(cgroup), []);
    assert.deepEqual(mountsIn(harness.dir), []);
  }
});

test('what cannot be restored says why in criu’s words, leaves nothing, and can be tried again', async () => {
  const log = await startCounting('broken');
  const images = join(harness.dir, 'broken-images');
  await harness.tasks.checkpoint(ctx, 'broken', images, exit);
  await harness.tasks.delete(ctx, 'broken');
  const inventory = readFileSync(join(images, 'inventory.img'));
  writeFileSync(join(images, 'inventory.img'), 'nonsense');
  await harness.tasks.create(
    ctx,
    harness.task('broken', ['none'], { stdout: `cri://${log}`, checkpoint: images }),
  );
  await assert.rejects(harness.tasks.start(ctx, 'broken'), /OCI runtime restore failed: .* \(criu 4\.\d.*\)/);
  assert.equal((await harness.tasks.get(ctx, 'broken')).status, 'created');
  writeFileSync(join(images, 'inventory.img'), inventory);
  writeFileSync(
    join(images, 'berth.json'),
    '{"streams":[{"fd":1,"key":"file[1:1]\\nexec-cmd x","type":"fifo"}],"flags":[]}',
  );
  await assert.rejects(harness.tasks.start(ctx, 'broken'), (e) => isKind(e, 'invalid_argument'));
  writeFileSync(join(images, 'berth.json'), '{"streams":[],"flags":["--work-path=/"]}');
  await assert.rejects(harness.tasks.start(ctx, 'broken'), (e) => isKind(e, 'invalid_argument'));
  await harness.tasks.delete(ctx, 'broken');
});

test('a file goes on as a file: nothing else can take its place', async () => {
  const log = join(harness.dir, 'plain.log');
  const stdout = `file://${log}`;
  await harness.tasks.create(ctx, harness.task('plain', ['sh', '-c', counter], { stdout }));
  await harness.tasks.start(ctx, 'plain');
  await until(() => numbers(log).length > 3, 'a few lines');
  const images = join(harness.dir, 'plain-images');
  await harness.tasks.checkpoint(ctx, 'plain', images, exit);
  await harness.tasks.delete(ctx, 'plain');
  const again = (stream: string) => harness.task('plain', ['none'], { stdout: stream, checkpoint: images });
  await harness.tasks.create(ctx, again(harness.fifo('plain-fifo')));
  await assert.rejects(harness.tasks.start(ctx, 'plain'), /stream 1 of the checkpoint is a file/);
  await harness.tasks.delete(ctx, 'plain');
  await harness.tasks.create(ctx, again(stdout));
  await harness.tasks.start(ctx, 'plain');
  const last = numbers(log).length;
  await until(() => numbers(log).length > last + 3, 'it going on');
  assert.ok(isAscending(numbers(log)));
  await end('plain');
});

test('tasks that are not running, and odd paths, are refused', async () => {
  await harness.tasks.create(ctx, harness.task('still', ['sleep', '100']));
  const dir = join(harness.dir, 'still-images');
  await assert.rejects(harness.tasks.checkpoint(ctx, 'still', dir), (e) => isKind(e, 'failed_precondition'));
  await harness.tasks.start(ctx, 'still');
  for (const path of ['', 'relative', 'a\0b'])
    await assert.rejects(harness.tasks.checkpoint(ctx, 'still', path), (e) => isKind(e, 'invalid_argument'));
  const odd: Any = { typeUrl: 'google.protobuf.Timestamp', value: new Uint8Array() };
  await assert.rejects(harness.tasks.checkpoint(ctx, 'still', dir, odd), (e) =>
    isKind(e, 'invalid_argument'),
  );
  await end('still');
  await assert.rejects(harness.tasks.checkpoint(ctx, 'still', dir), (e) => isKind(e, 'not_found'));
});

test('a criu that is missing or too old is said', async () => {
  const bin = join(harness.dir, 'bin');
  mkdirSync(bin);
  for (const [script, words] of [
    ['', /checkpoints need criu, which is not in PATH/],
    ['#!/bin/sh\necho Version: 3.9', /criu 3\.9 is too old: checkpoints need 3\.16 or later/],
  ] as const) {
    if (script !== '') writeFileSync(join(bin, 'criu'), script, { mode: 0o755 });
    await using other = new Harness({ environment: { PATH: `${bin}:${process.env.PATH}` } });
    await other.tasks.create(ctx, other.task('poor', ['sleep', '100']));
    await other.tasks.start(ctx, 'poor');
    await assert.rejects(other.tasks.checkpoint(ctx, 'poor', join(other.dir, 'images')), (e) => {
      assert.match(String(e), words);
      return isKind(e, 'failed_precondition');
    });
    assert.equal((await other.tasks.get(ctx, 'poor')).status, 'running');
  }
});

test('an OCI runtime that knows no criu is named', async () => {
  const binaryName = join(harness.dir, 'crun-without-criu');
  // As the crun of Debian 12 says it.
  const version = 'crun version 1.8.1\nspec: 1.0.0\n+SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF +YAJL';
  writeFileSync(binaryName, `#!/bin/sh\n[ "$1" = --version ] && exec echo "${version}"\nexec runc "$@"\n`, {
    mode: 0o755,
  });
  const value = toBinary(OptionsSchema, create(OptionsSchema, { binaryName }));
  const options: Any = { typeUrl: OptionsSchema.typeName, value };
  await harness.tasks.create(ctx, harness.task('lonely', ['sleep', '100'], { options }));
  await harness.tasks.start(ctx, 'lonely');
  await assert.rejects(harness.tasks.checkpoint(ctx, 'lonely', join(harness.dir, 'lonely-images')), (e) => {
    assert.match(String(e), /checkpoints need criu, which .*\/crun-without-criu was built without/);
    return isKind(e, 'failed_precondition');
  });
  await end('lonely');
});

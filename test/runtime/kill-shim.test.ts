import assert from 'node:assert/strict';
import { createReadStream, existsSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Task } from '../../src/gen/containerd/task/v3/task_pb.ts';
import { connectTtrpc } from '../../src/rpc/ttrpc-client.ts';
import { shimSocketPath } from '../../src/runtime/shim-launch.ts';
import { openFifo } from '../../src/sys/fifo.ts';
import { until } from '../kit/until.ts';
import { Harness } from './harness.ts';

const h = new Harness();
const ctx = h.ctx();
after(() => h[Symbol.asyncDispose]());

/** Kills the shim and waits for the one that the daemon starts in its place. */
async function killShim(): Promise<void> {
  const pid = await h.shimPid();
  process.kill(pid, 'SIGKILL');
  await until(async () => (await h.shimPid().catch(() => pid)) !== pid, 'a new shim');
  await h.tasks.list(ctx);
}

/** Kills the shim and sees to it that none takes its place until {@link Harness.open}. */
async function stayWithoutShim(): Promise<void> {
  const pid = await h.shimPid();
  await h.tasks.close();
  process.kill(pid, 'SIGKILL');
  await until(() => !existsSync(`/proc/${pid}`), 'the shim to end');
}

const textOf = async (path: string): Promise<string> => {
  let text = '';
  for await (const chunk of createReadStream(path)) text += chunk;
  return text;
};

const numbers = (count: number): string => Array.from({ length: count }, (_, i) => `${i + 1}\n`).join('');

async function start(id: string, script: string, more: Parameters<Harness['task']>[2]): Promise<void> {
  await h.tasks.create(ctx, h.task(id, ['sh', '-c', script], more));
  await h.tasks.start(ctx, id);
}

for (const format of ['cri', 'json'] as const) {
  test(`a log in ${format} format has every line once, however often the shim is killed meanwhile`, async () => {
    const log = join(h.dir, `killed.${format}`);
    await start(format, 'seq 1 400000; exit 3', { stdout: `${format}://${log}` });
    for (let i = 0; i < 4; i++) await killShim();
    assert.equal((await h.tasks.wait(ctx, format)).exitStatus, 3);
    const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
    const texts = lines.map((line) =>
      format === 'cri'
        ? `${line.slice(line.indexOf(' F ') + 3)}\n`
        : (JSON.parse(line) as { log: string }).log,
    );
    assert.equal(texts.length, 400_000);
    assert.equal(texts.join(''), numbers(400_000));
    await h.tasks.delete(ctx, format);
  });
}

test('what a container wrote to log and FIFO and ended with while no shim was there is all there, its exit code too', async () => {
  const log = join(h.dir, 'alone.log');
  const stdout = h.fifo('alone-out');
  const wait = 'while [ ! -e /tmp/go ]; do sleep 0.02; done;';
  await start('logged', `${wait} seq 1 5000; exit 4`, { stdout: `cri://${log}` });
  await start('piped', `${wait} seq 1 5000; exit 5`, { stdout });
  const { pid: logged } = await h.tasks.get(ctx, 'logged');
  const { pid: piped } = await h.tasks.get(ctx, 'piped');
  await stayWithoutShim();
  writeFileSync(join(h.rootfs, 'tmp/go'), '');
  await until(() => ![logged, piped].some((pid) => existsSync(`/proc/${pid}`)), 'both to end');
  h.tasks = h.open();
  assert.equal((await h.tasks.wait(ctx, 'logged')).exitStatus, 4);
  assert.equal((await h.tasks.wait(ctx, 'piped')).exitStatus, 5);
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
  assert.equal(lines.map((line) => `${line.split(' ').at(-1)}\n`).join(''), numbers(5000));
  assert.equal(await textOf(stdout), numbers(5000));
  for (const id of ['logged', 'piped']) await h.tasks.delete(ctx, id);
});

test('what waits in a FIFO for a late reader survives the shim, and the reader sees the end', async () => {
  const stdout = h.fifo('late-out');
  await start('late', 'seq 1 5000', { stdout });
  await h.tasks.wait(ctx, 'late');
  await killShim();
  assert.equal(await textOf(stdout), numbers(5000));
  await h.tasks.delete(ctx, 'late');
});

test('a terminal lives on when the shim is killed: every byte of output, typing, size', async () => {
  const stdin = h.fifo('tty-in');
  const stdout = h.fifo('tty-out');
  const reading = textOf(stdout);
  const script = 'stty -echo; seq 1 100000; read x; stty size; echo got $x; exit 6';
  await start('tty', script, { stdin, stdout, terminal: true });
  for (let i = 0; i < 3; i++) await killShim();
  await h.tasks.resize(ctx, 'tty', '', { columns: 91, rows: 33 });
  const keyboard = await open(stdin, 'w');
  await keyboard.write('hello\n');
  await keyboard.close();
  assert.equal((await h.tasks.wait(ctx, 'tty')).exitStatus, 6);
  const text = (await reading).replaceAll('\r\n', '\n');
  assert.equal(text, `${numbers(100_000)}33 91\ngot hello\n`);
  await h.tasks.delete(ctx, 'tty');
});

test('a terminal into a log and an exec survive the shim, too', async () => {
  const log = join(h.dir, 'tty.log');
  await start('ttylog', 'seq 1 20000; while [ ! -e /tmp/end ]; do sleep 0.02; done', {
    stdout: `cri://${log}`,
    terminal: true,
  });
  const out = h.fifo('exec-out');
  const reading = textOf(out);
  const spec = { args: ['sh', '-c', 'seq 1 20000; exit 9'], cwd: '/', env: ['PATH=/bin'], user: {} };
  const streams = { stdin: '', stdout: out, stderr: '', terminal: false };
  const typeUrl = 'types.containerd.io/opencontainers/runtime-spec/1/Process';
  await h.tasks.exec(ctx, 'ttylog', {
    execId: 'e',
    ...streams,
    spec: { typeUrl, value: Buffer.from(JSON.stringify({ ...spec, user: { uid: 0, gid: 0 } })) },
  });
  await h.tasks.start(ctx, 'ttylog', 'e');
  await killShim();
  assert.equal((await h.tasks.wait(ctx, 'ttylog', 'e')).exitStatus, 9);
  assert.equal(await reading, numbers(20_000));
  writeFileSync(join(h.rootfs, 'tmp/end'), '');
  assert.equal((await h.tasks.wait(ctx, 'ttylog')).exitStatus, 0);
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
  assert.equal(lines.map((line) => `${line.split(' ').at(-1)?.trimEnd()}\n`).join(''), numbers(20_000));
  await h.tasks.delete(ctx, 'ttylog');
});

test('stdin stays open without a shim: a container that reads sees no end before somebody asks for it', async () => {
  const stdin = h.fifo('cat-in');
  const stdout = h.fifo('cat-out');
  const reading = textOf(stdout);
  await start('cat', 'cat; exit 2', { stdin, stdout });
  writeFileSync(stdin, 'first\n');
  await killShim();
  assert.equal((await h.tasks.get(ctx, 'cat')).status, 'running');
  writeFileSync(stdin, 'second\n');
  await h.tasks.closeStdin(ctx, 'cat');
  assert.equal((await h.tasks.wait(ctx, 'cat')).exitStatus, 2);
  assert.equal(await reading, 'first\nsecond\n');
  await h.tasks.delete(ctx, 'cat');
});

test('events that no daemon has heard survive the shim, in order, each once', async () => {
  await start('told', 'while [ ! -e /tmp/told ]; do sleep 0.02; done; exit 7', {});
  await h.topicsWhen('told', 2);
  await h.tasks.close();
  writeFileSync(join(h.rootfs, 'tmp/told'), '');
  using client = await connectTtrpc(shimSocketPath(h.state));
  const task = client.service(Task);
  await task.wait({ id: 'told', execId: '' }, ctx, 10_000);
  await stayWithoutShim();
  h.tasks = h.open();
  await h.tasks.delete(ctx, 'told');
  assert.deepEqual(await h.topicsWhen('told', 4), [
    '/tasks/create',
    '/tasks/start',
    '/tasks/exit',
    '/tasks/delete',
  ]);
});

test('a shim killed in the middle of a start leaves a task that is started or not, never in between', async () => {
  const spec = JSON.parse(Buffer.from(h.task('mid', ['sleep', '1000']).spec).toString());
  spec.hooks = { startContainer: [{ path: '/bin/sleep', args: ['sleep', '1'] }] };
  await h.tasks.create(ctx, { ...h.task('mid', []), spec: Buffer.from(JSON.stringify(spec)) });
  const starting = h.tasks.start(ctx, 'mid').catch(() => 0);
  const record = join(h.state, 'io.containerd.runtime.v2.task/test/mid/shim.json');
  // Short where the shim itself does what `runc start` does: then it is killed just after.
  await until(() => /"changing":true|"status":"running"/.test(readFileSync(record, 'utf8')), 'the start');
  await killShim();
  await starting;
  const { status } = await h.tasks.get(ctx, 'mid');
  if (status === 'created') await h.tasks.start(ctx, 'mid');
  assert.equal((await h.tasks.get(ctx, 'mid')).status, 'running');
  assert.deepEqual(await h.topicsWhen('mid', 2), ['/tasks/create', '/tasks/start']);
  await h.tasks.kill(ctx, 'mid', 9);
  assert.equal((await h.tasks.wait(ctx, 'mid')).exitStatus, 137);
  await h.tasks.delete(ctx, 'mid');
});

test('a start whose shim was killed between letting the program run and saying so is finished by the next one', async () => {
  const pid = await h.tasks.create(ctx, h.task('cut', ['sleep', '1000']));
  {
    // What the shim, runc or crun does in a start, but for removing the FIFO.
    using fifo = openFifo(join(h.state, 'runc/test/cut/exec.fifo'), 'both');
    writeSync(fifo.fd, '0');
    const program = () => readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    await until(() => program().startsWith('sleep\0'), 'the program runs');
  }
  const record = join(h.state, 'io.containerd.runtime.v2.task/test/cut/shim.json');
  const written = readFileSync(record, 'utf8');
  assert.match(written, /"changing":false/);
  writeFileSync(record, written.replace('"changing":false', '"changing":true'));
  await killShim();
  assert.equal((await h.tasks.get(ctx, 'cut')).status, 'running');
  assert.deepEqual(await h.topicsWhen('cut', 2), ['/tasks/create', '/tasks/start']);
  await h.tasks.kill(ctx, 'cut', 9);
  assert.equal((await h.tasks.wait(ctx, 'cut')).exitStatus, 137);
  await h.tasks.delete(ctx, 'cut');
});

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { kindOf } from '../../src/errors/error.ts';
import { Harness, mountsIn } from '../runtime/harness.ts';

const h = new Harness();
const ctx = h.ctx();
after(async () => {
  await h.tasks.resume(ctx, 'waits');
  await h[Symbol.asyncDispose]();
});

const noStreams = { stdin: '', stdout: '', stderr: '', terminal: false };
const typeUrl = 'types.containerd.io/opencontainers/runtime-spec/1/';
const any = (type: string, value: object) => ({
  typeUrl: `${typeUrl}${type}`,
  value: Buffer.from(JSON.stringify(value)),
});
const processSpec = (more: object) =>
  any('Process', { args: ['true'], cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 }, ...more });

async function exec(id: string, execId: string, spec: object, streams: object = {}): Promise<void> {
  await h.tasks.exec(ctx, id, { execId, ...noStreams, ...streams, spec: processSpec(spec) });
  try {
    await h.tasks.start(ctx, id, execId);
  } finally {
    await h.tasks.deleteExec(ctx, id, execId).catch(() => {});
  }
}

async function create(more: Parameters<Harness['task']>[2], change: (spec: never) => void = () => {}) {
  const task = h.task('refused', ['true'], more);
  const spec = JSON.parse(Buffer.from(task.spec).toString());
  change(spec as never);
  await h.tasks.create(ctx, { ...task, spec: Buffer.from(JSON.stringify(spec)) });
}

before(async () => {
  for (const id of ['runs', 'waits', 'ended']) {
    await h.tasks.create(ctx, h.task(id, id === 'ended' ? ['true'] : ['sleep', '1000']));
    await h.tasks.start(ctx, id);
  }
  await h.tasks.pause(ctx, 'waits');
  await h.tasks.wait(ctx, 'ended');
});

const rows: Record<string, readonly [kind: string, call: () => Promise<unknown>]> = {
  'a signal that does not exist': ['invalid_argument', () => h.tasks.kill(ctx, 'runs', 65)],
  'a signal that is negative on the wire': ['invalid_argument', () => h.tasks.kill(ctx, 'runs', 2 ** 32 - 1)],
  'a signal for a task that has ended': ['not_found', () => h.tasks.kill(ctx, 'ended', 15)],
  'an exec in a paused container': ['failed_precondition', () => exec('waits', 'e', {})],
  'an exec in a container that has ended': ['failed_precondition', () => exec('ended', 'e', {})],
  'an exec whose id leaves its directory': ['invalid_argument', () => exec('runs', '../e', {})],
  'an exec in a directory that is not there': ['unknown', () => exec('runs', 'e', { cwd: '/nope' })],
  'an exec of nothing': ['unknown', () => exec('runs', 'e', { args: ['/nope'] })],
  'an exec into a FIFO that is not there': [
    'invalid_argument',
    () => exec('runs', 'e', {}, { stdout: join(h.dir, 'nope') }),
  ],
  'a delete of a running task': ['failed_precondition', () => h.tasks.delete(ctx, 'runs')],
  'a second start': ['failed_precondition', () => h.tasks.start(ctx, 'runs')],
  'a pause of a paused task': ['failed_precondition', () => h.tasks.pause(ctx, 'waits')],
  'a resume of a running task': ['failed_precondition', () => h.tasks.resume(ctx, 'runs')],
  'an update that the kernel refuses': [
    'unknown',
    () => h.tasks.update(ctx, 'runs', any('LinuxResources', { cpu: { cpus: '9999' } })),
  ],
  'an update of a task that has ended': [
    'failed_precondition',
    () => h.tasks.update(ctx, 'ended', any('LinuxResources', {})),
  ],
  'an update that is no JSON': [
    'unknown',
    () => h.tasks.update(ctx, 'runs', { typeUrl, value: Buffer.from('{') }),
  ],
  'a task into a FIFO that is not there': ['invalid_argument', () => create({ stdout: join(h.dir, 'nope') })],
  'a task into a scheme nobody knows': ['not_implemented', () => create({ stdout: 'ftp:///x' })],
  'a log with a size that is no number': [
    'invalid_argument',
    () => create({ stdout: `cri://${join(h.dir, 'l')}?max-size=much` }),
  ],
  'a task in a directory that is no directory': [
    'unknown',
    () => create({}, (spec: { process: { cwd: string } }) => Object.assign(spec.process, { cwd: '/bin/sh' })),
  ],
};

for (const [name, [kind, call]] of Object.entries(rows)) {
  test(`${name} is refused as ${kind}, and nobody notices`, async () => {
    const mounts = mountsIn(h.state).length;
    await assert.rejects(call(), (error) => {
      assert.equal(kindOf(error), kind, String(error));
      return true;
    });
    assert.equal(mountsIn(h.state).length, mounts);
    assert.equal((await h.tasks.get(ctx, 'runs')).status, 'running');
  });
}

test('signal 0 asks whether a task runs, and a resize without a terminal is ignored', async () => {
  await h.tasks.kill(ctx, 'runs', 0);
  await h.tasks.resize(ctx, 'runs', '', { columns: 10, rows: 10 });
  assert.equal((await h.tasks.get(ctx, 'runs')).status, 'running');
});

test('a megabyte of arguments is passed on', async () => {
  const args = ['sh', '-c', 'exit $(($(echo -n $1 | wc -c) / 100000))', 'x', 'a'.repeat(100_000)];
  await h.tasks.create(ctx, h.task('long', [...args, ...Array(9).fill('b'.repeat(100_000))]));
  await h.tasks.start(ctx, 'long');
  assert.equal((await h.tasks.wait(ctx, 'long')).exitStatus, 1);
  await h.tasks.delete(ctx, 'long');
});

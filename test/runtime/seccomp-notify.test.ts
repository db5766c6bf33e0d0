import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { until } from '../kit/until.ts';
import { Harness } from './harness.ts';

const h = new Harness();
after(() => h[Symbol.asyncDispose]());
const ctx = h.ctx();

test('a listener of seccomp notifications is told by the runtime, which gets it as it was given', async () => {
  const socket = join(h.dir, 'n.sock');
  let told = '';
  const server = createServer((connection) => {
    connection.on('data', (chunk) => {
      told += chunk;
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  using _server = { [Symbol.dispose]: () => server.close() };
  const log = join(h.dir, 'n.log');
  const task = h.task('notified', ['sh', '-c', 'mkdir /tmp/x; echo done'], {
    stdout: `file://${log}`,
    stderr: `file://${log}`,
  });
  const spec = JSON.parse(Buffer.from(task.spec).toString());
  spec.linux.seccomp = {
    defaultAction: 'SCMP_ACT_ALLOW',
    listenerPath: socket,
    listenerMetadata: 'from-the-test',
    syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_NOTIFY' }],
  };
  await h.tasks.create(ctx, { ...task, spec: Buffer.from(JSON.stringify(spec)) });
  await h.tasks.start(ctx, 'notified');
  // This listener takes no descriptor, so the kernel lets the call fail.
  assert.equal((await h.tasks.wait(ctx, 'notified')).exitStatus, 0);
  await h.tasks.delete(ctx, 'notified');
  await until(() => told.endsWith('}'), 'the state of the container');
  const { fds, metadata, state } = JSON.parse(told);
  assert.deepEqual([fds, metadata, state.id], [['seccompFd'], 'from-the-test', 'notified']);
  assert.match(readFileSync(log, 'utf8'), /mkdir.*Function not implemented\s+done/);
});

import assert from 'node:assert/strict';
import { createReadStream, existsSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fromBinary } from '@bufbuild/protobuf';
import { isKind } from '../../src/errors/error.ts';
import { MetricsSchema } from '../../src/gen/io/containerd/cgroups/v1/cgroups_pb.ts';
import { MetricsSchema as MetricsV2Schema } from '../../src/gen/io/containerd/cgroups/v2/cgroups_pb.ts';
import { withDefaultRuntime } from '../../src/runtime/default-runtime.ts';
import type { NewExec } from '../../src/runtime/task.ts';
import { cgroupDirectories, cgroupMode } from '../../src/sys/cgroup.ts';
import { openFds } from '../kit/open-fds.ts';
import { until } from '../kit/until.ts';
import { Harness, mountsIn } from './harness.ts';

const h = new Harness();
const ctx = h.ctx();
const noStreams = { stdin: '', stdout: '', stderr: '', terminal: false };
after(() => h[Symbol.asyncDispose]());

/** Creates, starts, waits, deletes. */
async function run(id: string, args: string[], more: Parameters<Harness['task']>[2] = {}): Promise<number> {
  await h.tasks.create(ctx, h.task(id, args, more));
  const waiting = h.tasks.wait(ctx, id);
  await h.tasks.start(ctx, id);
  const { exitStatus } = await waiting;
  await h.tasks.delete(ctx, id);
  return exitStatus;
}

async function sleeper(id: string, more: Parameters<Harness['task']>[2] = {}): Promise<void> {
  await h.tasks.create(ctx, h.task(id, ['sleep', '1000'], more));
  await h.tasks.start(ctx, id);
}

async function remove(id: string): Promise<void> {
  await h.tasks.kill(ctx, id, 9).catch(() => {});
  await h.tasks.wait(ctx, id);
  await h.tasks.delete(ctx, id);
}

const processSpec = (args: string[], more: object = {}): NewExec['spec'] => ({
  typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Process',
  value: Buffer.from(
    JSON.stringify({ args, cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 }, ...more }),
  ),
});

const readAll = async (path: string): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of createReadStream(path)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

test('exit codes come back as they were, and 128 + n for signals', async () => {
  assert.equal(await run('exit0', ['true']), 0);
  assert.equal(await run('exit7', ['sh', '-c', 'exit 7']), 7);
  for (const [signal, status] of [
    [9, 137],
    [15, 143],
  ] as const) {
    const id = `signal${signal}`;
    await h.tasks.create(ctx, h.task(id, ['sh', '-c', 'trap "exit 143" TERM; while :; do sleep 0.05; done']));
    await h.tasks.start(ctx, id);
    await sleep(100);
    await h.tasks.kill(ctx, id, signal);
    const before = Date.now();
    const { exitStatus, exitedAt } = await h.tasks.wait(ctx, id);
    assert.equal(exitStatus, status);
    assert.ok(Math.abs(exitedAt.getTime() - before) < 5_000);
    await h.tasks.delete(ctx, id);
  }
});

test('events of a short-lived task come in order, once each', async () => {
  for (let i = 0; i < 5; i++) {
    await run(`short${i}x`, ['true']);
    assert.deepEqual(await h.topicsWhen(`short${i}x`, 4), [
      '/tasks/create',
      '/tasks/start',
      '/tasks/exit',
      '/tasks/delete',
    ]);
  }
});

test('a task has a pid and namespaces after create, before start', async () => {
  const pid = await h.tasks.create(ctx, h.task('early', ['true']));
  assert.ok(existsSync(`/proc/${pid}/ns/net`));
  const state = await h.tasks.get(ctx, 'early');
  assert.equal(state.status, 'created');
  assert.equal(state.pid, pid);
  const deleted = await h.tasks.delete(ctx, 'early');
  assert.equal(deleted.exitStatus, 137);
});

test('a reader that opens after the exit gets every byte and then the end', async () => {
  const stdout = h.fifo('late-out');
  const stderr = h.fifo('late-err');
  await h.tasks.create(
    ctx,
    h.task('late', ['sh', '-c', 'head -c 50000 /dev/zero; echo oops >&2'], { stdout, stderr }),
  );
  await h.tasks.start(ctx, 'late');
  await h.tasks.wait(ctx, 'late');
  await sleep(100);
  const [out, err] = await Promise.all([readAll(stdout), readAll(stderr)]);
  assert.equal(out.length, 50_000);
  assert.equal(err.toString(), 'oops\n');
  await h.tasks.delete(ctx, 'late');
});

test('a reader that is there gets 8 MB unchanged, then the end', async () => {
  const stdout = h.fifo('big-out');
  const reading = readAll(stdout);
  assert.equal(
    await run(
      'big',
      ['sh', '-c', 'i=0; while [ $i -lt 8 ]; do head -c 1048576 /dev/zero; i=$((i+1)); done'],
      { stdout },
    ),
    0,
  );
  assert.equal((await reading).length, 8 * 1048576);
});

test('a reader that leaves kills nobody', async () => {
  const stdout = h.fifo('leave-out');
  const handle = open(stdout, 'r');
  await h.tasks.create(
    ctx,
    h.task('leave', ['sh', '-c', 'echo one; sleep 0.3; echo two; exit 5'], { stdout }),
  );
  await h.tasks.start(ctx, 'leave');
  const file = await handle;
  await file.read(Buffer.alloc(100));
  await file.close();
  assert.equal((await h.tasks.wait(ctx, 'leave')).exitStatus, 5);
  await h.tasks.delete(ctx, 'leave');
});

test('stdin stays open until CloseIO, and everything typed arrives', async () => {
  const stdin = h.fifo('cat-in');
  const stdout = h.fifo('cat-out');
  const reading = readAll(stdout);
  await h.tasks.create(ctx, h.task('cat', ['cat'], { stdin, stdout }));
  await h.tasks.start(ctx, 'cat');
  writeFileSync(stdin, 'first\n');
  writeFileSync(stdin, 'second\n');
  assert.equal((await h.tasks.get(ctx, 'cat')).status, 'running');
  await h.tasks.closeStdin(ctx, 'cat');
  assert.equal((await h.tasks.wait(ctx, 'cat')).exitStatus, 0);
  assert.equal((await reading).toString(), 'first\nsecond\n');
  await h.tasks.delete(ctx, 'cat');
});

test('output to a file is appended, and a link in its place is refused (CVE-2025-0750)', async () => {
  const path = join(h.dir, 'file-out');
  writeFileSync(path, 'before\n');
  await run('file', ['echo', 'after'], { stdout: `file://${path}` });
  assert.equal(readFileSync(path, 'utf8'), 'before\nafter\n');
  const { symlinkSync } = await import('node:fs');
  symlinkSync(path, join(h.dir, 'file-link'));
  await assert.rejects(
    run('file2', ['echo', 'x'], { stdout: `file://${join(h.dir, 'file-link')}` }),
    /ELOOP/,
  );
});

test('a log in CRI format holds every line of both streams when the exit is known', async () => {
  const path = join(h.dir, 'cri-log');
  const log = `cri://${path}`;
  const script = 'seq 1 3000; head -c 40000 /dev/zero | tr "\\0" x; echo; echo err >&2; printf end';
  await h.tasks.create(ctx, h.task('cri', ['sh', '-c', script], { stdout: log, stderr: log }));
  await h.tasks.start(ctx, 'cri');
  await h.tasks.wait(ctx, 'cri');
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  for (const line of lines)
    assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) [FP] /);
  const stdout = lines.filter((line) => line.includes(' stdout '));
  const texts = stdout.map((line) => line.slice(line.indexOf(' stdout ') + 10));
  assert.deepEqual(
    texts.slice(0, 3000),
    Array.from({ length: 3000 }, (_, i) => String(i + 1)),
  );
  assert.equal(texts.slice(3000, -1).join(''), 'x'.repeat(40_000));
  assert.ok(texts.every((text) => text.length <= 16 * 1024));
  assert.equal(texts.at(-1), 'end');
  assert.equal(lines.filter((line) => line.endsWith(' stderr F err')).length, 1);
  await h.tasks.delete(ctx, 'cri');
});

test('a terminal has the size it is given, echoes what is typed, and its output is complete', async () => {
  const stdin = h.fifo('tty-in');
  const stdout = h.fifo('tty-out');
  const reading = readAll(stdout);
  await h.tasks.create(
    ctx,
    h.task('tty', ['sh', '-c', 'read x; stty size; echo got $x; tty; exit 4'], {
      stdin,
      stdout,
      terminal: true,
    }),
  );
  await h.tasks.resize(ctx, 'tty', '', { columns: 101, rows: 33 });
  await h.tasks.start(ctx, 'tty');
  writeFileSync(stdin, 'hello\n');
  assert.equal((await h.tasks.wait(ctx, 'tty')).exitStatus, 4);
  const text = (await reading).toString();
  assert.match(text, /33 101\r\n/);
  assert.match(text, /got hello\r\n/);
  assert.match(text, /\/dev\/(pts\/0|console)\r\n/);
  await h.tasks.delete(ctx, 'tty');
});

test('1 MB over a terminal to a slow reader arrives whole', async () => {
  const stdout = h.fifo('tty-big');
  const id = 'ttybig';
  await h.tasks.create(
    ctx,
    h.task(id, ['sh', '-c', 'stty -opost; head -c 1000000 /dev/zero'], { stdout, terminal: true }),
  );
  const fd = openSync(stdout, 'r');
  await h.tasks.start(ctx, id);
  await sleep(200);
  let bytes = 0;
  for await (const chunk of createReadStream('', { fd })) bytes += (chunk as Buffer).length;
  assert.equal(bytes, 1_000_000);
  await h.tasks.wait(ctx, id);
  await h.tasks.delete(ctx, id);
});

test('another process runs in the container with streams and exit code of its own', async () => {
  await sleeper('exec');
  const stdout = h.fifo('exec-out');
  const reading = readAll(stdout);
  const exec = {
    ...noStreams,
    stdout,
    execId: 'e1',
    spec: processSpec(['sh', '-c', 'echo $$ here; exit 9']),
  };
  await h.tasks.exec(ctx, 'exec', exec);
  await assert.rejects(h.tasks.exec(ctx, 'exec', exec), (e) => isKind(e, 'already_exists'));
  const waiting = h.tasks.wait(ctx, 'exec', 'e1');
  const pid = await h.tasks.start(ctx, 'exec', 'e1');
  assert.ok(pid > 0);
  assert.equal((await waiting).exitStatus, 9);
  assert.match((await reading).toString(), /^\d+ here\n$/);
  const state = await h.tasks.get(ctx, 'exec', 'e1');
  assert.deepEqual([state.status, state.execId, state.exitStatus], ['stopped', 'e1', 9]);
  assert.equal((await h.tasks.deleteExec(ctx, 'exec', 'e1')).exitStatus, 9);
  await assert.rejects(h.tasks.get(ctx, 'exec', 'e1'), (e) => isKind(e, 'not_found'));
  const topics = await h.topicsWhen('exec', 5);
  assert.deepEqual(topics.slice(2), ['/tasks/exec-added', '/tasks/exec-started', '/tasks/exit']);
  await remove('exec');
});

test('execs that run when the container ends are told before it', async () => {
  await sleeper('both');
  for (const execId of ['x1', 'x2']) {
    await h.tasks.exec(ctx, 'both', { ...noStreams, execId, spec: processSpec(['sleep', '1000']) });
    await h.tasks.start(ctx, 'both', execId);
  }
  const pids = await h.tasks.pids(ctx, 'both');
  assert.equal(pids.length, 3);
  assert.equal(pids.filter(({ info }) => info?.typeUrl === 'containerd.runc.v1.ProcessDetails').length, 2);
  await assert.rejects(h.tasks.deleteExec(ctx, 'both', 'x1'), (e) => isKind(e, 'failed_precondition'));
  await h.tasks.kill(ctx, 'both', 9);
  await h.tasks.wait(ctx, 'both');
  assert.equal((await h.tasks.get(ctx, 'both', 'x1')).exitStatus, 137);
  assert.equal((await h.tasks.get(ctx, 'both', 'x2')).exitStatus, 137);
  await h.tasks.delete(ctx, 'both');
  const topics = await h.topicsWhen('both', 10);
  assert.deepEqual(topics.slice(-4), ['/tasks/exit', '/tasks/exit', '/tasks/exit', '/tasks/delete']);
});

test('a terminal can be had by an exec, also for a program that does not exist, again and again (CVE-2022-23471)', async () => {
  await sleeper('exectty');
  const stdout = h.fifo('exectty-out');
  const reading = readAll(stdout);
  const good = {
    ...noStreams,
    terminal: true,
    stdout,
    execId: 't1',
    spec: processSpec(['tty'], { terminal: true }),
  };
  await h.tasks.exec(ctx, 'exectty', good);
  await h.tasks.start(ctx, 'exectty', 't1');
  await h.tasks.wait(ctx, 'exectty', 't1');
  assert.match((await reading).toString(), /\/dev\/pts\/\d+\r\n/);
  await h.tasks.deleteExec(ctx, 'exectty', 't1');
  const pid = await h.shimPid();
  const before = openFds(pid);
  for (let i = 0; i < 5; i++) {
    const bad = { ...good, execId: 'bad', spec: processSpec(['nope'], { terminal: true }) };
    await h.tasks.exec(ctx, 'exectty', bad);
    await assert.rejects(h.tasks.start(ctx, 'exectty', 'bad'), /OCI runtime exec failed: .*nope/);
    await h.tasks.resize(ctx, 'exectty', 'bad', { columns: 1, rows: 1 }).catch(() => {});
    await h.tasks.deleteExec(ctx, 'exectty', 'bad');
  }
  await until(() => openFds(pid) <= before, 'descriptors to be closed');
  await remove('exectty');
});

test('the runtime’s own words reach the client, and nothing half-made stays', async () => {
  const rows: [string, Parameters<Harness['task']>[2], string[], RegExp][] = [
    [
      'noexe',
      {},
      ['nope'],
      /OCI runtime (create|start) failed: .*(executable file not found in \$PATH|executable file `nope` not found)/,
    ],
    ['isdir', {}, ['/bin'], /is a directory|permission denied|Operation not permitted/],
    [
      'nofifo',
      { stdout: '/nonexistent/fifo' },
      ['true'],
      /open stdout \/nonexistent\/fifo: no such file or directory/,
    ],
    ['badspec', { spec: Buffer.from('{"ociVersion":"1.0.0"}') }, ['true'], /OCI runtime create failed/],
    ['nojson', { spec: Buffer.from('{') }, ['true'], /runtime spec is not JSON/],
    [
      'badroot',
      { rootfs: [{ type: 'bind', source: '/nonexistent', options: ['bind'] }] },
      ['true'],
      /nonexistent/,
    ],
    ['nort', { runtimeName: 'io.containerd.none.v1' }, ['true'], /containerd-shim-none-v1/],
    ['scheme', { stdout: 'http://x/y' }, ['true'], /scheme http/],
  ];
  for (const [id, more, args, words] of rows) {
    await assert.rejects(
      async () => {
        await h.tasks.create(ctx, h.task(id, args, more));
        await h.tasks.start(ctx, id).finally(() => remove(id));
      },
      words,
      id,
    );
    await assert.rejects(h.tasks.get(ctx, id), (e) => isKind(e, 'not_found'), id);
    assert.ok(!existsSync(join(h.state, 'io.containerd.runtime.v2.task/test', id)), id);
  }
  assert.equal(await run('noexe', ['true']), 0);
});

test('a missing runtime binary is said and named', async () => {
  const { create, toBinary } = await import('@bufbuild/protobuf');
  const { OptionsSchema } = await import('../../src/gen/containerd/runc/v1/runc_pb.ts');
  const value = toBinary(OptionsSchema, create(OptionsSchema, { binaryName: 'norunc' }));
  const options = { typeUrl: 'containerd.runc.v1.Options', value };
  await assert.rejects(h.tasks.create(ctx, h.task('norunc', ['true'], { options })), /norunc.*not found/);
});

test('ids that are no identifiers are refused before anything is touched (CVE-2026-50163)', async () => {
  for (const id of ['..', 'a/b', 'a\0b', '', '-x', 'a'.repeat(300), '../../etc']) {
    await assert.rejects(
      h.tasks.create(ctx, { ...h.task('x', ['true']), containerId: id }),
      (e) => isKind(e, 'invalid_argument'),
      id,
    );
    await assert.rejects(h.tasks.create(h.ctx(id === '' ? '/' : id), h.task('x', ['true'])), /./, id);
  }
  await sleeper('ids');
  for (const execId of ['..', 'a/b', 'a\0b', '-x', 'a'.repeat(300)])
    await assert.rejects(
      h.tasks.exec(ctx, 'ids', { ...noStreams, execId, spec: processSpec(['true']) }),
      (e) => isKind(e, 'invalid_argument'),
    );
  await remove('ids');
});

test('wrong order is refused in words of the right kind', async () => {
  await assert.rejects(h.tasks.get(ctx, 'none'), /task none not found/);
  await sleeper('order');
  await assert.rejects(h.tasks.create(ctx, h.task('order', ['true'])), (e) => isKind(e, 'already_exists'));
  await assert.rejects(h.tasks.start(ctx, 'order'), (e) => isKind(e, 'failed_precondition'));
  await assert.rejects(h.tasks.delete(ctx, 'order'), /cannot delete a running process/);
  await assert.rejects(h.tasks.kill(ctx, 'order', 65), (e) => isKind(e, 'invalid_argument'));
  await h.tasks.kill(ctx, 'order', 0);
  await h.tasks.kill(ctx, 'order', 9);
  await h.tasks.wait(ctx, 'order');
  await assert.rejects(h.tasks.kill(ctx, 'order', 9), /process already finished/);
  await assert.rejects(h.tasks.kill(ctx, 'order', 9), (e) => isKind(e, 'not_found'));
  await h.tasks.delete(ctx, 'order');
  await assert.rejects(h.tasks.delete(ctx, 'order'), (e) => isKind(e, 'not_found'));
});

test('the same id lives in two namespaces', async () => {
  const other = h.ctx('other');
  await sleeper('twin');
  await h.tasks.create(other, h.task('twin', ['sleep', '1000']));
  assert.equal((await h.tasks.get(other, 'twin')).status, 'created');
  assert.equal((await h.tasks.get(ctx, 'twin')).status, 'running');
  assert.equal((await h.tasks.list(other)).length, 1);
  await h.tasks.delete(other, 'twin');
  assert.equal((await h.tasks.get(ctx, 'twin')).status, 'running');
  await remove('twin');
});

test('pause stops the container and resume lets it go on', async () => {
  await sleeper('pause');
  await h.tasks.pause(ctx, 'pause');
  assert.equal((await h.tasks.get(ctx, 'pause')).status, 'paused');
  await assert.rejects(
    h.tasks.exec(ctx, 'pause', { ...noStreams, execId: 'e', spec: processSpec(['true']) }),
    /paused/,
  );
  await h.tasks.resume(ctx, 'pause');
  assert.equal((await h.tasks.get(ctx, 'pause')).status, 'running');
  await h.tasks.pause(ctx, 'pause');
  await h.tasks.kill(ctx, 'pause', 9);
  assert.equal((await h.tasks.wait(ctx, 'pause')).exitStatus, 137);
  await h.tasks.delete(ctx, 'pause');
});

const unified = cgroupMode() === 'unified';

test('metrics tell what the container uses, and update changes its limits', {
  skip: unified ? 'version 2: see below' : false,
}, async () => {
  await sleeper('stats');
  const any = await h.tasks.metrics(ctx, 'stats');
  assert.equal(any?.typeUrl, 'io.containerd.cgroups.v1.Metrics');
  const read = async () => {
    const { value = new Uint8Array() } = (await h.tasks.metrics(ctx, 'stats')) ?? {};
    return fromBinary(MetricsSchema, value);
  };
  const before = await read();
  assert.equal(before.pids?.current, 1n);
  assert.ok((before.memory?.usage?.usage ?? 0n) > 0n);
  // Counts of pages lag behind in the kernel; a limit does not.
  assert.ok((before.memory?.hierarchicalMemoryLimit ?? 0n) > 0n);
  assert.ok((before.cpu?.usage?.total ?? 0n) > 0n);
  const resources = { memory: { limit: 64 << 20 }, pids: { limit: 33 } };
  const typeUrl = 'types.containerd.io/opencontainers/runtime-spec/1/LinuxResources';
  await h.tasks.update(ctx, 'stats', { typeUrl, value: Buffer.from(JSON.stringify(resources)) });
  const after = await read();
  assert.equal(after.memory?.usage?.limit, 67_108_864n);
  assert.equal(after.pids?.limit, 33n);
  await remove('stats');
  await assert.rejects(h.tasks.metrics(ctx, 'stats'), (e) => isKind(e, 'not_found'));
});

test('metrics of version 2 tell the same', {
  skip: unified ? false : 'there is no cgroup v2 alone: see test/vm/run',
}, async () => {
  await sleeper('stats2');
  const read = async () => {
    const any = await h.tasks.metrics(ctx, 'stats2');
    assert.equal(any?.typeUrl, 'io.containerd.cgroups.v2.Metrics');
    return fromBinary(MetricsV2Schema, any.value);
  };
  const before = await read();
  assert.equal(before.pids?.current, 1n);
  assert.ok((before.memory?.usage ?? 0n) > 0n);
  const resources = { memory: { limit: 64 << 20 }, pids: { limit: 33 } };
  const typeUrl = 'types.containerd.io/opencontainers/runtime-spec/1/LinuxResources';
  await h.tasks.update(ctx, 'stats2', { typeUrl, value: Buffer.from(JSON.stringify(resources)) });
  const after = await read();
  assert.equal(after.memory?.usageLimit, 67_108_864n);
  assert.equal(after.pids?.limit, 33n);
  await remove('stats2');
});

test('the program gets no descriptors but its three, and no environment but its own (CVE-2024-21626, CVE-2026-57231)', async () => {
  const path = join(h.dir, 'clean');
  await run('clean', ['sh', '-c', 'for fd in /proc/$$/fd/*; do readlink $fd; done | grep -c .; env'], {
    stdout: `file://${path}`,
  });
  const [count, ...env] = readFileSync(path, 'utf8').trim().split('\n');
  assert.equal(count, '3');
  assert.deepEqual(
    env
      .map((line) => line.split('=')[0])
      .filter((name) => !['PATH', 'TERM', 'PWD', 'SHLVL', 'HOME', '_', 'OLDPWD'].includes(name ?? '')),
    [],
  );
});

test('a program that is not root may write to its streams by their names', async () => {
  const stdout = h.fifo('user-out');
  const reading = readAll(stdout);
  assert.equal(await run('user', ['sh', '-c', 'id -u > /proc/self/fd/1'], { stdout, user: 1000 }), 0);
  assert.equal((await reading).toString(), '1000\n');
});

test('a shared pid namespace is emptied when its first process ends', async () => {
  const task = h.task('hostpid', ['sh', '-c', 'sleep 4321 & exit 0']);
  const spec = JSON.parse(Buffer.from(task.spec).toString());
  spec.linux.namespaces = spec.linux.namespaces.filter((n: { type: string }) => n.type !== 'pid');
  spec.mounts = spec.mounts.map((m: { destination: string }) =>
    m.destination === '/proc' ? { ...m, type: 'bind', source: '/proc', options: ['rbind', 'ro'] } : m,
  );
  await h.tasks.create(ctx, { ...task, spec: Buffer.from(JSON.stringify(spec)) });
  await h.tasks.start(ctx, 'hostpid');
  await h.tasks.wait(ctx, 'hostpid');
  await until(
    () => !processes().some((line) => line.startsWith('sleep\x004321')),
    'the grandchild to be killed',
  );
  await h.tasks.delete(ctx, 'hostpid');
});

test('many containers at once start, run and go', async () => {
  const ids = Array.from({ length: 12 }, (_, i) => `many${i}`);
  const codes = await Promise.all(ids.map((id, i) => run(id, ['sh', '-c', `exit ${i}`])));
  assert.deepEqual(
    codes,
    ids.map((_, i) => i),
  );
});

test('afterwards nothing is left: no descriptor, mount, bundle, cgroup or process', async () => {
  const pid = await h.shimPid();
  await run('base', ['true']);
  const before = openFds(pid);
  for (let i = 0; i < 5; i++) await run('leak', ['true'], { stdout: `cri://${join(h.dir, 'leak-log')}` });
  await until(() => openFds(pid) <= before, `descriptors to be back at ${before}`);
  assert.deepEqual(mountsIn(h.dir), []);
  assert.deepEqual(readdirSync(join(h.state, 'io.containerd.runtime.v2.task/test')), []);
  assert.deepEqual(
    readdirSync(join(h.state, 's')).filter((name) => name.startsWith('c-')),
    [],
  );
  assert.deepEqual((await h.tasks.list(ctx)).length, 0);
  const left = cgroupDirectories(h.cgroup).flatMap((path) => readdirSync(path, { withFileTypes: true }));
  assert.deepEqual(
    left.filter((entry) => entry.isDirectory()).map((entry) => entry.name),
    [],
  );
});

const processes = (): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    });

test('an OCI runtime tells its features; a program that is not there is not found', async () => {
  const optionsOf = (binaryName: string) => withDefaultRuntime(undefined, binaryName);
  const { program, features } = await h.tasks.features(ctx, optionsOf('runc'));
  assert.equal(program, 'runc');
  assert.match(JSON.parse(features).ociVersionMax, /^1\./);
  await assert.rejects(h.tasks.features(ctx, optionsOf('nobody-has-this')), (e) => isKind(e, 'not_found'));
});

test('an exec whose process spec is not a JSON object is refused when it is added and takes no id', async () => {
  await sleeper('badexec');
  const { typeUrl, value } = processSpec(['true']);
  for (const bad of ['{bad', '', '[]', 'null', '7'])
    await assert.rejects(
      h.tasks.exec(ctx, 'badexec', { execId: 'e', spec: { typeUrl, value: Buffer.from(bad) }, ...noStreams }),
      (e) => isKind(e, 'invalid_argument'),
      bad,
    );
  await h.tasks.exec(ctx, 'badexec', { execId: 'e', spec: { typeUrl, value }, ...noStreams });
  await remove('badexec');
});

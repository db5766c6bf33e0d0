import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isKind } from '../../src/errors/error.ts';
import type { Finding } from '../../src/runtime/reconcile/finding.ts';
import { cgroupDirectories, cgroupHierarchies } from '../../src/sys/cgroup.ts';
import { startDaemon } from '../kit/daemon.ts';
import { freePort } from '../kit/registry.ts';
import { run } from '../kit/run.ts';
import { until } from '../kit/until.ts';
import { Harness, mountsIn } from './harness.ts';

const h = new Harness();
const ctx = h.ctx();
after(() => h[Symbol.asyncDispose]());

const bundles = join(h.state, 'io.containerd.runtime.v2.task/test');
const pass = async (): Promise<string[]> =>
  (await h.tasks.reconcile()).map(
    ({ kind, repaired }: Finding) => `${kind} ${repaired ? 'repaired' : 'left'}`,
  );

async function sleeper(id: string): Promise<number> {
  await h.tasks.create(ctx, h.task(id, ['sleep', '1000']));
  return h.tasks.start(ctx, id);
}
async function remove(id: string): Promise<void> {
  await h.tasks.kill(ctx, id, 9);
  await h.tasks.wait(ctx, id);
  await h.tasks.delete(ctx, id);
}

test('a state directory where everything is as it should be gives no finding, before, during and after a task', async () => {
  assert.deepEqual(await pass(), []);
  await sleeper('neighbour');
  assert.deepEqual(await pass(), []);
  await sleeper('short');
  await remove('short');
  assert.deepEqual(await pass(), []);
});

test('a bundle without a task is removed, mounts and all', async () => {
  const rootfs = join(bundles, 'stray/rootfs');
  mkdirSync(rootfs, { recursive: true });
  await run('mount', ['--bind', h.rootfs, rootfs]);
  assert.deepEqual(await pass(), ['bundle repaired']);
  assert.equal(existsSync(join(bundles, 'stray')), false);
  assert.deepEqual(mountsIn(join(bundles, 'stray')), []);
  assert.equal(existsSync(join(h.rootfs, 'bin/busybox')), true);
});

test('what an OCI runtime keeps without a bundle is deleted by it, process and all', async () => {
  const bundle = join(h.dir, 'elsewhere');
  mkdirSync(bundle);
  const spec = JSON.parse(Buffer.from(h.task('lost', ['sleep', '1000']).spec).toString());
  writeFileSync(join(bundle, 'config.json'), JSON.stringify({ ...spec, root: { path: h.rootfs } }));
  const root = join(h.state, 'runc/test');
  const pidFile = join(bundle, 'pid');
  const log = join(bundle, 'log');
  const made = await run('bash', [
    '-c',
    `runc --root ${root} run -d --pid-file ${pidFile} -b ${bundle} lost >${log} 2>&1 </dev/null`,
  ]);
  assert.equal(made.status, 0);
  assert.deepEqual(await pass(), ['runtime-state repaired']);
  assert.equal(existsSync(join(root, 'lost')), false);
  assert.deepEqual(await pass(), []);
});

test('an empty cgroup of a task that is gone is removed; one with a process in it is left until that ends', async () => {
  await sleeper('grouped');
  const spec = JSON.parse(
    await run('cat', [join(bundles, 'grouped/config.json')]).then(({ stdout }) => stdout),
  );
  const cgroup: string = spec.linux.cgroupsPath;
  await pass();
  await remove('grouped');
  const memory =
    cgroupHierarchies().find(({ controllers }) => controllers.includes('pids'))?.mountPoint ?? '';
  mkdirSync(join(memory, cgroup), { recursive: true });
  const squatter = spawn('sleep', ['1000']);
  writeFileSync(join(memory, cgroup, 'cgroup.procs'), String(squatter.pid));
  assert.deepEqual(await pass(), ['cgroup left']);
  assert.deepEqual(await pass(), ['cgroup left']);
  squatter.kill('SIGKILL');
  await once(squatter, 'exit');
  assert.deepEqual(await pass(), ['cgroup repaired']);
  assert.deepEqual(cgroupDirectories(cgroup), []);
});

test('a task that berth-shim could not take over is left alone and said', async () => {
  mkdirSync(join(bundles, 'odd/rootfs'), { recursive: true });
  writeFileSync(join(bundles, 'odd/shim.json'), '{"format": 99}');
  assert.deepEqual(await pass(), ['record left']);
  assert.ok(existsSync(join(bundles, 'odd/shim.json')));
  rmSync(join(bundles, 'odd'), { recursive: true });
});

test('a dead shim that could not delete its task is asked again in each pass', async () => {
  const shim = join(h.dir, 'containerd-shim-stubborn-v2');
  const ok = join(h.dir, 'may-delete');
  writeFileSync(
    shim,
    `#!/bin/sh\ncase "$*" in *delete) [ -e ${ok} ] ;; *) echo unix:///nowhere/sock ;; esac\n`,
  );
  chmodSync(shim, 0o755);
  await assert.rejects(h.tasks.create(ctx, h.task('stub', ['true'], { runtimeName: shim })), /connect to/);
  assert.deepEqual(await pass(), ['bundle left']);
  writeFileSync(ok, '');
  assert.deepEqual(await pass(), ['bundle repaired']);
  assert.equal(existsSync(join(bundles, 'stub')), false);
});

test('a second berth-shim, and a process in a bundle without a task of a shim of others, are said', async (t) => {
  const twin = spawn('cat', [], { argv0: `berth-shim ${h.state}` });
  const inside = spawn('cat', [], { cwd: join(bundles, 'neighbour') });
  t.after(() => [twin, inside].map((child) => child.kill('SIGKILL')));
  await Promise.all([twin, inside].map((child) => once(child, 'spawn')));
  await until(async () => String(await pass()) === 'shim left,process left', 'both to be seen');
  for (const child of [twin, inside]) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  assert.deepEqual(await pass(), []);
});

test('a berth-shim that hangs is said; tasks are listed by their records, and it goes on where it was', async (t) => {
  const shim = await h.shimPid();
  t.after(() => process.kill(shim, 'SIGCONT'));
  process.kill(shim, 'SIGSTOP');
  const [task] = await h.tasks.list(ctx);
  assert.deepEqual([task?.containerId, task?.status, (task?.pid ?? 0) > 0], ['neighbour', 'unknown', true]);
  assert.deepEqual(await pass(), ['shim left']);
  process.kill(shim, 'SIGCONT');
  await until(async () => (await h.tasks.list(ctx))[0]?.status === 'running', 'the shim to answer');
  assert.deepEqual(await pass(), []);
  await remove('neighbour');
  await assert.rejects(h.tasks.get(ctx, 'neighbour'), (e) => isKind(e, 'not_found'));
});

test('leaks are counted in a metric, at zero where there are none', async () => {
  const address = `127.0.0.1:${await freePort()}`;
  const config = `[metrics]\naddress = "${address}"\n[berth]\nreconcile_interval = "200ms"\n`;
  await using daemon = await startDaemon({ config });
  const metrics = async () => (await fetch(`http://${address}/v1/metrics`)).text();
  const leaks = async () => [...(await metrics()).matchAll(/^berth_leaks\{kind="([\w-]+)"\} (\d+)$/gm)];
  await until(async () => (await leaks().catch(() => [])).length === 7, 'the first pass');
  assert.deepEqual([...new Set((await leaks()).map(([, , count]) => count))], ['0']);
  assert.match(await metrics(), /nodejs_eventloop_lag_seconds/);
  const odd = join(daemon.state, 'io.containerd.runtime.v2.task/x/odd');
  mkdirSync(odd, { recursive: true });
  writeFileSync(join(odd, 'foreign-shim.json'), '{"format": 1, "program": "/nowhere", "pid": 0}');
  await until(async () => /berth_leaks\{kind="bundle"\} 1/.test(await metrics()), 'the leak to be counted');
  rmSync(odd, { recursive: true });
  await until(async () => /berth_leaks\{kind="bundle"\} 0/.test(await metrics()), 'the leak to be gone');
  assert.equal((await fetch(`http://${address}/other`)).status, 404);
});

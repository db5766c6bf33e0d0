import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildSpec, type SpecOptions } from './build.ts';
import { allCapabilities, capabilitiesOfMask, defaultCapabilities } from './capabilities.ts';
import { execProcess } from './exec.ts';
import type { RuntimeSpec } from './runtime-spec.ts';

const image = {
  user: '',
  env: ['PATH=/bin', 'A=1'],
  entrypoint: ['/entry'],
  cmd: ['run'],
  workingDir: '/srv',
  labels: {},
  stopSignal: '',
  exposedPorts: [],
  volumes: [],
};
const user = { uid: 1, gid: 2, additionalGids: [2], home: '/home/u' };
const base: SpecOptions = { id: 'abcdef0123456789', namespace: 'ns', user, host: { architecture: 'amd64' } };
const build = (options: Partial<SpecOptions> = {}, of: Partial<typeof image> = {}): RuntimeSpec =>
  buildSpec({ ...image, ...of }, { ...base, ...options });
const refuses = (options: Partial<SpecOptions>, of: Partial<typeof image> = {}) =>
  assert.throws(() => build(options, of), { kind: 'invalid_argument' });

test('the defaults are those of containerd, and no new privileges', () => {
  const spec = build();
  assert.equal(spec.ociVersion, '1.0.2');
  assert.deepEqual(spec.process.args, ['/entry', 'run']);
  assert.deepEqual(spec.process.env, ['PATH=/bin', 'HOSTNAME=abcdef012345', 'HOME=/home/u', 'A=1']);
  assert.equal(spec.process.cwd, '/srv');
  assert.equal(spec.process.noNewPrivileges, true);
  assert.equal(spec.hostname, 'abcdef012345');
  assert.equal(spec.linux.cgroupsPath, '/ns/abcdef0123456789');
  assert.deepEqual(
    spec.linux.namespaces.map((n) => n.type),
    ['pid', 'ipc', 'uts', 'mount', 'network'],
  );
  assert.deepEqual(new Set(spec.process.capabilities.bounding), new Set(defaultCapabilities));
  assert.equal(spec.linux.resources.memory, undefined);
});

test('CVE-2022-24769: nothing is inheritable or ambient, by default, with more, privileged and in exec', () => {
  for (const options of [{}, { capAdd: ['ALL'] }, { privileged: true }]) {
    const { process } = build(options);
    const more = { args: ['x'], env: [], workingDir: '', terminal: false, hostCapabilities: allCapabilities };
    const exec = execProcess(process, { ...more, privileged: true });
    for (const { capabilities } of [process, exec]) {
      assert.deepEqual(capabilities.inheritable, []);
      assert.deepEqual(capabilities.ambient, []);
    }
  }
});

test('GHSA-7ww5-4wqc-m92c: power, thermal and interrupt files are masked, unless privileged', () => {
  const masked = build({ host: { architecture: 'amd64', thermalCpus: [0, 1] } }).linux.maskedPaths;
  const wanted = 'acpi asound interrupts kcore keys latency_stats timer_list timer_stats sched_debug scsi';
  for (const name of wanted.split(' ')) assert.ok(masked.includes(`/proc/${name}`), name);
  for (const path of ['/sys/firmware', '/sys/devices/virtual/powercap']) assert.ok(masked.includes(path));
  assert.ok(masked.includes('/sys/devices/system/cpu/cpu1/thermal_throttle'));
  assert.deepEqual(build({ privileged: true }).linux.maskedPaths, []);
});

test('entrypoint and arguments combine as in Docker', () => {
  assert.deepEqual(build({ args: ['a', 'b'] }).process.args, ['/entry', 'a', 'b']);
  assert.deepEqual(build({ entrypoint: '/other' }).process.args, ['/other']);
  assert.deepEqual(build({ entrypoint: '/other', args: ['a'] }).process.args, ['/other', 'a']);
  assert.deepEqual(build({ entrypoint: '', args: ['a'] }).process.args, ['a']);
  refuses({}, { entrypoint: [], cmd: [] });
  refuses({ args: ['a\0b'] });
});

test('CVE-2026-57231: image entries without a value are dropped, not looked up', () => {
  const env = ['FOO', '*', '', '=x', 'A B', 'X=1\nY=2', 'B=\0', 'C='];
  assert.deepEqual(build({}, { env }).process.env.slice(3), ['X=1\nY=2', 'C=']);
  for (const entry of ['FOO', '', '=x', 'A=\0']) refuses({ env: [entry] });
});

test("the caller's environment wins, the last of two wins, a terminal has TERM", () => {
  const { env } = build({ env: ['A=2', 'A=3', 'HOME=/x'], terminal: true }).process;
  assert.deepEqual(env, ['PATH=/bin', 'TERM=xterm', 'HOSTNAME=abcdef012345', 'HOME=/x', 'A=3']);
});

const cwds: [string, string | undefined][] = [
  ['', '/'],
  ['a/b', '/a/b'],
  ['/a/../../b/', '/b'],
  ['/proc/self/fd/7', undefined],
  ['/x/../proc/1/root', undefined],
  ['/proc/thread-self/cwd/..', '/proc/thread-self'],
  ['/proc/1/task/2/fd/3', undefined],
  ['/dev/fd/3', undefined],
  ['/a\0', undefined],
];
for (const [given, clean] of cwds)
  test(`CVE-2024-21626: working directory ${JSON.stringify(given)} is ${clean ?? 'refused'}`, () => {
    if (clean === undefined) refuses({}, { workingDir: given });
    else assert.equal(build({}, { workingDir: given }).process.cwd, clean);
  });

test('capabilities are added and dropped by any spelling', () => {
  const caps = (capAdd: string[], capDrop: string[]) =>
    build({ capAdd, capDrop }).process.capabilities.bounding;
  assert.deepEqual(caps(['net_admin'], ['ALL']), ['CAP_NET_ADMIN']);
  assert.equal(caps(['ALL'], []).length, allCapabilities.length);
  assert.ok(!caps(['ALL'], ['CAP_SYS_ADMIN']).includes('CAP_SYS_ADMIN'));
  assert.ok(!caps([], ['mknod']).includes('CAP_MKNOD'));
  refuses({ capAdd: ['NOSUCH'] });
  assert.deepEqual(capabilitiesOfMask('000001ffffffffff'), allCapabilities);
  const host = { architecture: 'amd64', capabilities: ['CAP_CHOWN'] };
  assert.deepEqual(build({ privileged: true, host }).process.capabilities.bounding, ['CAP_CHOWN']);
});

const bind = (destination: string, source = '/src', options: string[] = []) => ({
  type: 'bind',
  destination,
  source,
  options,
});

test('mounts are cleaned, ordered by depth and get their default options', () => {
  const mounts = build({
    mounts: [bind('/a/b/c'), bind('/a/'), bind('/a/../x', '/y/../z', ['ro', 'bind'])],
  }).mounts;
  assert.deepEqual(
    mounts.slice(-3).map((m) => m.destination),
    ['/a', '/x', '/a/b/c'],
  );
  assert.deepEqual(mounts.at(-2), { ...bind('/x', '/z'), options: ['ro', 'bind', 'rprivate'] });
  assert.deepEqual(mounts.at(-1)?.options, ['rbind', 'rprivate']);
});

test('a mount at the place of a default replaces it', () => {
  const shm = { type: 'tmpfs', destination: '/dev/shm', source: 'shm', options: ['size=1m'] };
  const mounts = build({ mounts: [shm] }).mounts.filter((m) => m.destination === '/dev/shm');
  assert.equal(mounts.length, 1);
  assert.ok(mounts[0]?.options.includes('size=1m'));
});

for (const destination of ['/', '/..', 'rel', '', '/proc', '/proc/sys', '/sys/fs/..', '/x/../sys/y', '/a\0'])
  test(`CVE-2015-3630: mount destination ${JSON.stringify(destination)} is refused`, () => {
    refuses({ mounts: [bind(destination)] });
  });

test('odd mounts are refused, and privileged may mount under /sys', () => {
  refuses({ mounts: [bind('/a'), bind('/a/')] });
  refuses({ mounts: [bind('/a', 'rel')] });
  refuses({ mounts: [{ ...bind('/a'), type: '../x' }] });
  assert.equal(build({ privileged: true, mounts: [bind('/sys/x')] }).mounts.at(-1)?.destination, '/sys/x');
});

test('limits are written down, and those the kernel cannot keep are refused', () => {
  const { resources } = build({ memoryBytes: 64 << 20, cpuMillis: 1500, pidsLimit: 10 }).linux;
  assert.deepEqual(resources.memory, { limit: 64 << 20 });
  assert.deepEqual(resources.cpu, { quota: 150_000, period: 100_000 });
  assert.deepEqual(resources.pids, { limit: 10 });
  assert.deepEqual(resources.devices[0], { allow: false, access: 'rwm' });
  for (const bad of [
    { memoryBytes: 1 },
    { memoryBytes: -1 },
    { cpuMillis: 9 },
    { pidsLimit: -5 },
    { cpuMillis: 0.5 },
  ])
    refuses(bad);
});

test('host network has no network namespace; unified cgroups have their own', () => {
  const types = (options: Partial<SpecOptions>) => build(options).linux.namespaces.map((n) => n.type);
  assert.ok(!types({ network: 'host' }).includes('network'));
  assert.ok(types({ host: { architecture: 'amd64', unifiedCgroups: true } }).includes('cgroup'));
});

test('hostnames are checked', () => {
  assert.equal(build({ hostname: 'web-1.local' }).hostname, 'web-1.local');
  for (const hostname of ['-a', 'a b', 'a\n', 'a'.repeat(64)]) refuses({ hostname });
});

test('an exec keeps the rights of the container and takes its own words', () => {
  const first = build({ terminal: true }).process;
  const options = { args: ['ls'], env: ['A=9'], workingDir: '', privileged: false, hostCapabilities: [] };
  const exec = execProcess(first, { ...options, terminal: false });
  assert.equal(exec.terminal, undefined);
  assert.deepEqual(exec.args, ['ls']);
  assert.ok(exec.env.includes('A=9') && !exec.env.includes('A=1'));
  assert.deepEqual(exec.capabilities, first.capabilities);
  assert.equal(exec.cwd, '/srv');
  const asOther = execProcess(first, {
    ...options,
    terminal: true,
    user: { uid: 5, gid: 6, additionalGids: [6] },
  });
  assert.deepEqual(asOther.user, { uid: 5, gid: 6, additionalGids: [6] });
  assert.ok(asOther.env.includes('HOME=/'));
  assert.throws(() => execProcess(first, { ...options, args: [], terminal: false }), {
    kind: 'invalid_argument',
  });
});

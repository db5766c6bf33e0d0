import assert from 'node:assert/strict';
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import type { RuntimeSpec } from '../../src/oci/spec/runtime-spec.ts';
import { commandOf, processesOf } from '../kit/daemon.ts';
import { run } from '../kit/run.ts';
import { dir } from '../kit/tar-builder.ts';
import { until } from '../kit/until.ts';
import { field, SecurityStage } from './stage.ts';

let stage: SecurityStage;
let image: string;
before(async () => {
  stage = await SecurityStage.open();
  image = stage.image('plain');
  await stage.berth.images.pull(image).image();
});
after(() => stage[Symbol.asyncDispose]());

async function running(
  name: string,
  ...flags: readonly string[]
): Promise<AsyncDisposable & { readonly pid: number }> {
  const args = ['run', '-d', '--name', name, ...flags, image, '/bin/sleep', '1000'];
  const { status, stdout, stderr } = await stage.cli(...args);
  assert.equal(status, 0, stderr);
  const { pid } = await stage.berth.tasks.get(stdout.trim());
  return {
    pid,
    [Symbol.asyncDispose]: async () => assert.equal((await stage.cli('rm', '-f', name)).status, 0),
  };
}

/** Names of the unix sockets that a process has open. */
function socketsOf(pid: number): string[] {
  const names = new Map(
    readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/ +/))
      .map((words) => [words[6] ?? '', words[7] ?? ''] as const),
  );
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1];
    return names.get(inode ?? '-') || [];
  });
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function socketsBelow(path: string): string[] {
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const full = join(path, entry.name);
    if (entry.isSocket()) return [full];
    return entry.isDirectory() && entry.name !== 'rootfs' ? socketsBelow(full) : [];
  });
}

test('CVE-2020-15257: no socket is abstract, all are 0660 or less in directories only root writes, and uid 1000 on the host’s network reaches none', async () => {
  await using container = await running('net', '--network', 'host', '-u', '1000');
  const sockets = socketsBelow(stage.daemon.state);
  assert.ok(sockets.length >= 3, String(sockets));
  const shim = processesOf(stage.daemon.state).filter((pid) => commandOf(pid).startsWith('berth-shim'));
  const names = [stage.daemon.pid, ...shim].flatMap(socketsOf);
  assert.ok(shim.length === 1 && names.length >= 3, String(names));
  assert.deepEqual(
    names.filter((name) => name.startsWith('@')),
    [],
  );
  const connect = 'use IO::Socket::UNIX; exit(IO::Socket::UNIX->new(Peer => $ARGV[0]) ? 0 : 1)';
  for (const path of sockets) {
    assert.equal(lstatSync(path).mode & 0o117, 0, path);
    assert.equal(statSync(dirname(path)).mode & 0o022, 0, path);
    assert.equal((await run('perl', ['-e', connect, path])).status, 0, `root reaches ${path}`);
    const stranger = [
      '-t',
      String(container.pid),
      '-n',
      'setpriv',
      '--reuid',
      '1000',
      '--regid',
      '1000',
      '--clear-groups',
      '--inh-caps=-all',
    ];
    assert.equal((await run('nsenter', [...stranger, 'perl', '-e', connect, path])).status, 1, path);
  }
});

test('CVE-2020-15257: a container given the state directory reaches no socket of the shim as uid 1000', async () => {
  const mount = `${stage.daemon.state}:/state`;
  const shown = await stage.sh(
    'ls /state/s 2>&1; cat /state/s/* 2>&1; true',
    image,
    '-v',
    mount,
    '-u',
    '1000',
  );
  assert.match(shown, /ermission denied/);
});

test('CVE-2021-21334: two hundred containers made at once of one image have each its own environment, labels and mounts', async () => {
  const { berth } = stage;
  const scratch = join(stage.daemon.dir, 'mounted');
  mkdirSync(scratch);
  const ids = Array.from({ length: 200 }, (_, i) => `many${i}`);
  await Promise.all(
    ids.map((id) =>
      berth.containers.create({
        image,
        id,
        args: ['/bin/sleep', '1000'],
        env: [`OWN=${id}`, `ONLY_${id}=1`],
        labels: { own: id, [`only.${id}`]: '1' },
        mounts: [{ type: 'bind', source: scratch, destination: `/mnt/${id}`, options: ['rbind'] }],
      }),
    ),
  );
  const own = (env: readonly string[]) => env.filter((entry) => /^(OWN|ONLY)/.test(entry)).sort();
  for (const id of ids) {
    const { spec, labels } = await berth.containers.get(id);
    const { process, mounts } = JSON.parse(Buffer.from(spec?.value ?? []).toString()) as RuntimeSpec;
    assert.deepEqual(own(process.env ?? []), [`ONLY_${id}=1`, `OWN=${id}`]);
    assert.deepEqual(
      Object.keys(labels).filter((key) => key.startsWith('only.')),
      [`only.${id}`],
    );
    assert.equal(labels.own, id);
    assert.deepEqual(
      mounts.map(({ destination }) => destination).filter((path) => path.startsWith('/mnt/')),
      [`/mnt/${id}`],
    );
  }
  await Promise.all(
    ids.slice(0, 16).map(async (id) => {
      const task = await berth.tasks.create(id);
      await task.start();
      const { pid } = await berth.tasks.get(id);
      const env = () => own(readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0'));
      // Empty while the runtime's process becomes the container's.
      await until(() => env().length > 0, `the process of ${id}`);
      assert.deepEqual(env(), [`ONLY_${id}=1`, `OWN=${id}`]);
    }),
  );
  await Promise.all(ids.map((id) => berth.containers.remove(id, { force: true })));
});

/** What may be inherited or kept over execve, for the first process and for an exec. */
const rights: readonly [flags: readonly string[], execFlags: readonly string[], effective: RegExp][] = [
  [[], [], /^00000000a80425fb$/],
  [['--cap-add', 'SYS_ADMIN'], [], /^00000000a82425fb$/],
  [['--cap-drop', 'ALL'], [], /^0{16}$/],
  [['-u', '1000'], ['-u', '1000'], /^0{16}$/],
  [['--cap-add', 'NET_ADMIN', '-u', '1000'], ['-u', '1000'], /^0{16}$/],
];
for (const [flags, execFlags, effective] of rights)
  test(`CVE-2022-24769, CVE-2018-1000400: with ${flags.join(' ') || 'defaults'} nothing is inheritable or ambient, in an exec neither`, async () => {
    await using _ = await running('caps', ...flags);
    const script = ['/bin/cat', '/proc/self/status'];
    const first = await stage.cli('run', '--rm', ...flags, image, ...script);
    const again = await stage.cli('exec', ...execFlags, 'caps', ...script);
    for (const { stdout, stderr } of [first, again]) {
      assert.equal(field(stdout, 'CapInh'), '0000000000000000', stderr);
      assert.equal(field(stdout, 'CapAmb'), '0000000000000000');
      assert.match(field(stdout, 'CapEff') ?? '', effective);
      assert.equal(field(stdout, 'NoNewPrivs'), '1');
      assert.equal(field(stdout, 'Seccomp'), '2');
    }
  });

const masked = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];
test('GHSA-7ww5-4wqc-m92c, GHSA-jq35-85cj-fj4p, CVE-2018-10892: masked paths are empty from inside and from an exec, and there when privileged', async () => {
  const look = `for p in ${masked.join(' ')} /sys/devices/system/cpu/cpu*/thermal_throttle; do ls -A $p/ 2>/dev/null; head -c 9 $p 2>/dev/null; done; true`;
  assert.equal(await stage.sh(look, image), '');
  await using _ = await running('mask');
  assert.equal((await stage.cli('exec', 'mask', '/bin/sh', '-c', look)).stdout, '');
  assert.match(await stage.sh('head -c 30 /proc/interrupts', image, '--privileged'), /CPU0/);
  const writable =
    'echo 1 >/proc/sys/kernel/domainname && echo open; echo b >/proc/sysrq-trigger && echo open; true';
  assert.doesNotMatch(await stage.sh(writable, image), /open/);
});

test('CVE-2021-41103: uid 1000 can neither list, open nor execute what lies in a snapshot or a bundle', async () => {
  const suid = stage.image('suid', {}, [
    dir('tool/'),
    { name: 'tool/su', mode: 0o4755, data: readFileSync('/bin/busybox') },
  ]);
  await stage.berth.images.pull(suid).image();
  await using container = await running('bundle');
  // A layer file is mounted while something stands on it.
  const made = await stage.berth.containers.create({ image: suid, args: ['/tool/su'] });
  chmodSync(stage.daemon.dir, 0o755);
  const found = await run('find', [stage.daemon.root, stage.daemon.state, '-name', 'su', '-perm', '-4000']);
  const [tool = ''] = found.stdout.trim().split('\n');
  assert.match(tool, /tool\/su$/);
  const bundles = join(stage.daemon.state, 'io.containerd.runtime.v2.task/default');
  const bundle = join(bundles, readdirSync(bundles)[0] ?? '');
  const stranger = (...words: string[]) =>
    run('setpriv', ['--reuid', '1000', '--regid', '1000', '--clear-groups', ...words]);
  for (const path of [
    stage.daemon.root,
    join(stage.daemon.root, 'snapshots'),
    bundle,
    join(bundle, 'rootfs'),
  ])
    assert.notEqual((await stranger('ls', path)).status, 0, path);
  for (const path of [
    join(bundle, 'config.json'),
    join(stage.daemon.root, 'metadata.db'),
    `${bundle}/rootfs/bin/busybox`,
  ])
    assert.notEqual((await stranger('head', '-c', '1', path)).status, 0, path);
  assert.notEqual((await stranger(tool, 'id')).status, 0);
  assert.ok(container.pid > 0);
  await stage.berth.containers.remove(made.id);
});

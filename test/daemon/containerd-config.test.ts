import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { parse } from 'smol-toml';
import { isZero, leavesOf } from '../../src/daemon/config/settings.ts';
import { bin, containerd1, containerd2 } from '../kit/paths.ts';
import { output } from '../kit/run.ts';

const dir = mkdtempSync('/var/tmp/berth-config-');
after(() => rmSync(dir, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(dir, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const dumped = async (program: string, file: string): Promise<Map<string, unknown>> => {
  const leaves = leavesOf(parse(await output(program, ['-c', file, 'config', 'dump'])));
  return new Map([...leaves].map(([path, value]) => [path.join(' '), value]));
};

/** Every setting of `file` and its imports, as containerd 2.3 understands it, is understood so here. */
async function sameAsContainerd(file: string): Promise<void> {
  const [theirs, ours] = [await dumped(containerd2, file), await dumped(bin('containerd'), file)];
  const defaults = await dumped(containerd2, write('empty.toml', 'version = 4'));
  const changed = [...theirs].filter(
    ([name, value]) => !same(defaults.get(name), value) && name !== 'imports',
  );
  assert.ok(changed.length > 5, 'the file says something');
  for (const [name, value] of changed) {
    if (isZero(value) && !ours.has(name)) continue;
    assert.ok(same(ours.get(name), value), `${name}: ${text(ours.get(name))} is not ${text(value)}`);
  }
}

const text = (value: unknown) => JSON.stringify(value);
const seconds = (value: string) => Number(/^(\d+)ms$/.exec(value)?.[1] ?? Number.parseFloat(value) * 1000);
const same = (a: unknown, b: unknown): boolean =>
  text(a) === text(b) ||
  (typeof a === 'string' && typeof b === 'string' && /^\d+m?s$/.test(a) && seconds(a) === seconds(b));

const drop = [
  'version = 2',
  'disabled_plugins = ["io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.btrfs"]',
  'oom_score = 0',
  '[grpc]\n  uid = 0\n  gid = 3',
  '[plugins."io.containerd.snapshotter.v1.overlayfs"]\n  slow_chown = false\n  mount_options = ["b", "c"]',
  '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]',
  '  runtime_type = "io.containerd.runc.v2"',
  '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]',
  '  BinaryName = "/usr/bin/nvidia-container-runtime"',
  '[plugins."io.containerd.grpc.v1.cri".cni]\n  bin_dir = "/usr/lib/cni"',
].join('\n');

const main = [
  'version = 2',
  'imports = ["conf.d/*.toml"]',
  'root = "/data"',
  'disabled_plugins = ["io.containerd.snapshotter.v1.zfs"]',
  'oom_score = -999',
  '[grpc]\n  address = "/run/other/containerd.sock"\n  uid = 7',
  '[metrics]\n  address = "127.0.0.1:1338"\n  grpc_histogram = true',
  '[debug]\n  level = "warn"\n  address = "/run/other/debug.sock"\n  gid = 12',
  '[proxy_plugins.stargz]\n  type = "snapshot"\n  address = "/run/stargz.sock"',
  '[plugins."io.containerd.gc.v1.scheduler"]\n  pause_threshold = 0.04\n  startup_delay = "3s"',
  '[plugins."io.containerd.internal.v1.opt"]\n  path = "/var/lib/containerd/opt"',
  '[plugins."io.containerd.runtime.v2.task"]\n  sched_core = true',
  '[plugins."io.containerd.snapshotter.v1.overlayfs"]\n  slow_chown = true\n  mount_options = ["a", "b"]',
  '[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "127.0.0.1:5000/pause:3.9"',
  '[plugins."io.containerd.grpc.v1.cri".containerd]\n  snapshotter = "stargz"',
  '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]\n  runtime_type = "io.containerd.runc.v2"',
  '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]\n  SystemdCgroup = true',
  '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"',
].join('\n');

test('version 2 with drop-ins, as kubeadm and nvidia-ctk leave it, means what it means to containerd 2.3', async () => {
  write('conf.d/99-nvidia.toml', drop);
  await sameAsContainerd(write('main.toml', main));
});

test('version 1, with its short names, means what it means to containerd 2.3', async () => {
  const lines = [
    'root = "/data"',
    'disabled_plugins = ["cri", "zfs", "diff-service"]',
    'oom_score = -1',
    '[grpc]\n  address = "/a.sock"\n  gid = 12',
    '[plugins.scheduler]\n  mutation_threshold = 5',
    '[plugins.opt]\n  path = "/o"',
    '[plugins.restart]\n  interval = "5s"',
    '[plugins.cgroups]\n  no_prometheus = true',
    '[plugins.cri]\n  max_concurrent_downloads = 9\n  stream_server_address = "127.0.0.2"',
    '[plugins.cri.cni]\n  conf_dir = "/cni"',
  ];
  await sameAsContainerd(write('one.toml', lines.join('\n')));
});

for (const [generation, program] of [
  ['1.6', containerd1],
  ['2.3', containerd2],
] as const) {
  test(`what containerd ${generation} prints as its defaults is read without a warning, and changes only what Berth has otherwise`, async () => {
    const file = write(`${generation}.toml`, await output(program, ['config', 'default']));
    const checked = (await output(bin('containerd'), ['config', 'check', file])).split('\n');
    assert.equal(checked.at(-1), 'the configuration is valid');
    assert.deepEqual(
      checked.filter((line) => /^(no meaning|deprecated)/.test(line)),
      [],
    );
    assert.deepEqual(
      checked.filter(
        (line) => /\.(address|root|state|config_path|level)\b.*→/.test(line) && !/ttrpc/.test(line),
      ),
      [],
    );
  });
}

test('config migrate says what a file sets, no more, in version 4, and reads back to the same', async () => {
  const file = write('main.toml', main);
  const migrated = await output(bin('containerd'), ['-c', file, 'config', 'migrate']);
  assert.match(migrated, /^version = 4\n/);
  assert.match(migrated, /^imports = \[ "conf\.d\/\*\.toml" \]/m);
  assert.doesNotMatch(migrated, /^\[grpc\]/m);
  assert.doesNotMatch(migrated, /mutation_threshold|nvidia/);
  write('conf.d/99-nvidia.toml', drop.replace('version = 2', 'version = 2'));
  const again = write('migrated.toml', `${migrated}\n`);
  const [before, after] = [await dumped(bin('containerd'), file), await dumped(bin('containerd'), again)];
  assert.deepEqual(after, before);
  await sameAsContainerd(again);
});

test('the defaults of `containerd config default` are at the paths that clients look for', async () => {
  const defaults = await dumped(bin('containerd'), '/nonexistent').catch(() => undefined);
  assert.equal(defaults, undefined, 'a file that was named must be there');
  const printed = parse(await output(bin('containerd'), ['config', 'default']));
  const leaves = new Map([...leavesOf(printed)].map(([path, value]) => [path.join(' '), value]));
  assert.equal(leaves.get('root'), '/var/lib/containerd');
  assert.equal(leaves.get('state'), '/run/containerd');
  assert.equal(leaves.get('plugins io.containerd.server.v1.grpc address'), '/run/containerd/containerd.sock');
  assert.equal(leaves.get('plugins io.containerd.internal.v1.opt path'), '/opt/containerd');
  const cgroups = 'plugins io.containerd.cri.v1.runtime containerd runtimes runc options SystemdCgroup';
  assert.equal(leaves.get(cgroups), false, 'what installers set with sed');
  assert.match(await output(bin('containerd'), ['--version']), /^containerd berth 2\.\d+\.\d+ berth-\d/);
});

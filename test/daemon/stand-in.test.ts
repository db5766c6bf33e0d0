import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startDaemon, TestDaemon } from '../kit/daemon.ts';
import { bin, ctr1, ctr2 } from '../kit/paths.ts';
import { output, run } from '../kit/run.ts';

const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8);

test('started as containerd, with a file as dockerd writes it for its own, it serves where that file says', async () => {
  await using daemon = new TestDaemon({ program: bin('containerd') });
  // dockerd's words: a version 2 file, sockets and directories in it, --config and --log-level on the command line.
  const file = join(daemon.dir, 'containerd.toml');
  mkdirSync(daemon.state, { recursive: true });
  writeFileSync(
    file,
    [
      'version = 2',
      `root = "${daemon.root}"`,
      `state = "${daemon.state}"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      'required_plugins = ["io.containerd.snapshotter.v1.overlayfs"]',
      'imports = []',
      'plugin_dir = ""',
      'oom_score = 0',
      `[grpc]\n  address = "${daemon.address}"\n  uid = 0\n  gid = 12\n  max_recv_message_size = 16777216`,
      '[ttrpc]\n  address = ""\n  uid = 0\n  gid = 0',
      `[debug]\n  address = "${daemon.state}/containerd-debug.sock"\n  uid = 0\n  gid = 12\n  level = "info"`,
      `[plugins."io.containerd.internal.v1.opt"]\n  path = "${daemon.dir}/opt"`,
      '[timeouts]\n  "io.containerd.timeout.shim.load" = "5s"',
    ].join('\n'),
  );
  await daemon.start({ wrapper: ['sh', '-c', `exec "$1" --config ${file} --log-level warn`, 'sh'] });
  for (const ctr of [ctr1, ctr2]) assert.match(await output(ctr, ['-a', daemon.address, 'version']), /2\.\d/);
  assert.equal(statSync(daemon.address).gid, 12);
  assert.equal(statSync(`${daemon.address}.ttrpc`).gid, 12, 'the owner of the gRPC socket');
  assert.deepEqual([daemon.root, daemon.state].map(modeOf), ['700', '711']);
  assert.equal(daemon.log(), '', 'nothing worth a warning');
});

test('ctr install unpacks where the opt plug-in says, and shims are found there first', async () => {
  await using daemon = await startDaemon();
  const ls = async (filter: string) =>
    await output(ctr2, ['-a', daemon.address, 'plugins', 'ls', '-d', filter]);
  assert.match(await ls('id==opt'), new RegExp(`path\\s+${daemon.root}/opt`));
  const shim = join(daemon.root, 'opt/bin/containerd-shim-own-v1');
  writeFileSync(shim, `#!/bin/sh\nenv >${daemon.dir}/env\nexit 3\n`, { mode: 0o755 });
  const words = ['-a', daemon.address, 'plugins', 'inspect-runtime', '--runtime=io.containerd.own.v1'];
  const asked = await run(ctr2, words);
  assert.equal(asked.status, 1, 'it fails, but it was run');
  const env = readFileSync(join(daemon.dir, 'env'), 'utf8');
  assert.match(env, new RegExp(`^PATH=${daemon.root}/opt/bin:`, 'm'));
  assert.match(env, new RegExp(`^LD_LIBRARY_PATH=${daemon.root}/opt/lib$`, 'm'));
});

test('plug-ins that are disabled are gone, with their services and snapshotters', async () => {
  const disabled = ['snapshotter.v1.native', 'grpc.v1.leases', 'grpc.v1.cri', 'internal.v1.opt', 'x.v1.y'];
  const list = disabled.map((name) => `"io.containerd.${name}"`).join(', ');
  await using daemon = await startDaemon({ config: `version = 3\ndisabled_plugins = [${list}]\n` });
  const plugins = await output(ctr2, ['-a', daemon.address, 'plugins', 'ls']);
  assert.doesNotMatch(plugins, /native|leases|\bopt\b/);
  assert.match(plugins, /overlayfs/);
  const refused = await run(ctr2, ['-a', daemon.address, 'leases', 'ls']);
  assert.match(refused.stderr, /unknown service containerd\.services\.leases\.v1\.Leases/);
  const none = await run(ctr2, ['-a', daemon.address, 'snapshots', '--snapshotter', 'native', 'ls']);
  assert.match(none.stderr, /snapshotter not loaded: native|not found/);
});

for (const [what, config, words] of [
  [
    'unknown',
    'required_plugins = ["io.containerd.grpc.v1.nothing"]',
    /required plugin \[.*nothing\] not included/,
  ],
  [
    'disabled',
    'required_plugins = ["io.containerd.snapshotter.v1.native"]\ndisabled_plugins = ["io.containerd.snapshotter.v1.native"]',
    /required plugin \[io\.containerd\.snapshotter\.v1\.native\] not included/,
  ],
] as const) {
  test(`does not start when a required plug-in is ${what}`, async () => {
    await using daemon = new TestDaemon({ config: `version = 2\n${config}\n` });
    await assert.rejects(daemon.start(), words);
  });
}

test('what the configuration uses and will go is what ctr deprecations shows', async () => {
  const config = [
    'version = 2',
    '[plugins."io.containerd.grpc.v1.cri".registry.mirrors."127.0.0.1:5000"]\nendpoint = ["http://127.0.0.1:5000"]',
    '[plugins."io.containerd.tracing.processor.v1.otlp"]\nendpoint = "http://localhost:4318"',
  ].join('\n');
  await using daemon = await startDaemon({ config: `${config}\n` });
  const listed = await output(ctr2, ['-a', daemon.address, 'deprecations', 'list']);
  assert.match(listed, /io\.containerd\.deprecation\/cri-registry-mirrors\s.*hosts\.toml/);
  assert.match(listed, /io\.containerd\.deprecation\/tracing-processor-config\s/);
  await using other = await startDaemon();
  assert.doesNotMatch(await output(ctr2, ['-a', other.address, 'deprecations', 'list']), /io\.containerd/);
});

test('sockets and directories for temporary files are where the configuration says', async () => {
  await using daemon = new TestDaemon();
  const config = `temp = "${daemon.dir}/temp"\n[ttrpc]\naddress = "${daemon.dir}/run/t.sock"\ngid = 12\n`;
  await using placed = new TestDaemon({ dir: daemon.dir, config });
  await placed.start();
  assert.equal(modeOf(join(daemon.dir, 'temp')), '700');
  const event = await run(
    bin('berthd'),
    ['-c', join(daemon.dir, 'config.toml'), 'publish', '--topic', '/tasks/oom', '--namespace', 'default'],
    { input: '\n\u0001x' },
  );
  assert.equal(event.status, 0, event.stderr);
  assert.equal(statSync(join(daemon.dir, 'run/t.sock')).gid, 12);
  assert.equal(existsSync(`${placed.address}.ttrpc`), false);
});

test('oci-hook becomes the program that it is given, with the state of the container filled in', async () => {
  await using daemon = new TestDaemon();
  writeFileSync(join(daemon.dir, 'config.json'), '{"root":{"path":"rootfs"}}');
  const state = JSON.stringify({
    id: 'web',
    bundle: daemon.dir,
    pid: 42,
    status: 'creating',
    annotations: { 'a.b/c': 'noted' },
  });
  const words = [
    'oci-hook',
    '/bin/echo',
    '--flag',
    '{{id}}',
    '{{pid}}',
    '{{rootfs}}',
    '{{annotation "a.b/c"}}',
  ];
  const hook = await run(bin('containerd'), words, { input: state });
  assert.equal(hook.stdout, `--flag web 42 ${daemon.dir}/rootfs noted\n`, hook.stderr);
  for (const [input, words, said] of [
    ['{', ['/bin/true'], /state on standard input is not JSON/],
    ['{}', ['/bin/true'], /has no id or no bundle/],
    [state, ['true'], /must be an absolute path/],
    [state, ['/bin/true', '{{nothing}}'], /\{\{nothing\}\} is not known/],
    [state, ['/nonexistent'], /ENOENT|no such file|could not be run/i],
  ] as const) {
    const bad = await run(bin('containerd'), ['oci-hook', ...words], { input });
    assert.notEqual(bad.status, 0);
    assert.match(bad.stderr, said);
  }
});

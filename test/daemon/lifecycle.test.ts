import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startDaemon, TestDaemon } from '../kit/daemon.ts';
import { bin, ctr2 } from '../kit/paths.ts';
import { output, run } from '../kit/run.ts';
import { until } from '../kit/until.ts';

const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8);

for (const umask of ['000', '077']) {
  test(`CVE-2021-41103 CVE-2014-3499: under umask ${umask} root is 0700, state 0711, the socket 0660`, async () => {
    await using daemon = new TestDaemon();
    await daemon.start({ wrapper: ['sh', '-c', `umask ${umask}; exec "$@"`, 'sh'] });
    const modes = [
      daemon.root,
      join(daemon.root, 'content'),
      join(daemon.root, 'snapshots'),
      daemon.state,
      daemon.address,
    ].map(modeOf);
    assert.deepEqual(modes, ['700', '700', '700', '711', '660']);
    const stranger = await run('setpriv', [
      '--reuid',
      '1000',
      '--clear-groups',
      ctr2,
      '-a',
      daemon.address,
      'version',
    ]);
    assert.match(stranger.stderr, /permission denied/);
  });
}

test('CVE-2024-25621: directories that an older version left open are closed at start', async () => {
  await using daemon = new TestDaemon();
  for (const dir of [daemon.root, join(daemon.root, 'content'), daemon.state]) {
    mkdirSync(dir, { recursive: true });
    chmodSync(dir, 0o755);
  }
  await daemon.start();
  assert.deepEqual([daemon.root, join(daemon.root, 'content'), daemon.state].map(modeOf), [
    '700',
    '700',
    '711',
  ]);
});

test('a second daemon on the same root or the same state is refused and says what to do', async () => {
  await using daemon = await startDaemon();
  const other = { root: '/var/tmp/berth-test/other-root', state: '/var/tmp/berth-test/other-state' };
  for (const [root, state, name] of [
    [daemon.root, other.state, 'root'],
    [other.root, daemon.state, 'state'],
  ] as const) {
    const second = await run(bin('berthd'), [
      '--root',
      root,
      '--state',
      state,
      '--address',
      join(other.state, 's.sock'),
    ]);
    assert.equal(second.status, 1);
    assert.match(
      second.stderr,
      new RegExp(`another berthd is using .*: stop it, or choose another --${name}`),
    );
  }
  assert.match(await output(ctr2, ['-a', daemon.address, 'version']), /Server:/);
});

test('SIGTERM ends it with status 0, removes the socket, and it starts again on the same directories', async () => {
  await using daemon = await startDaemon();
  assert.equal(await daemon.stop(), 0);
  assert.throws(() => statSync(daemon.address), /ENOENT/);
  await daemon.start();
  assert.match(await output(ctr2, ['-a', daemon.address, 'version']), /Server:/);
});

test('after kill -9 the stale socket does not stop the next start', async () => {
  await using daemon = await startDaemon();
  await daemon.restart('SIGKILL');
  assert.match(await output(ctr2, ['-a', daemon.address, 'version']), /Server:/);
});

test('SIGHUP takes over what may change, names what waits for a restart, and keeps the old configuration when the new one is bad', async () => {
  await using daemon = await startDaemon({ config: '[grpc]\nuid = 0\n' });
  const hup = async (text: string, expected: RegExp): Promise<void> => {
    writeFileSync(join(daemon.dir, 'config.toml'), text);
    process.kill(daemon.pid, 'SIGHUP');
    await until(
      () => expected.test(daemon.log()),
      () => `${expected} in ${daemon.log()}`,
    );
  };
  await hup(
    '[plugins."io.containerd.transfer.v1.local"]\nmax_concurrent_downloads = 7\n',
    /max_concurrent_downloads: 3 → 7/,
  );
  await hup('state = "/elsewhere"\ntemp = "/var/tmp"\n', /needs a restart.*temp: .* → .*var\/tmp/);
  await hup('root = 5\n', /was not reloaded.*config\.toml:1: root must be an absolute path/);
  assert.match(await output(ctr2, ['-a', daemon.address, 'version']), /Server:/);
});

test('a bad configuration refuses to start with file, line and what is allowed', async () => {
  await using daemon = new TestDaemon({ config: '\n[debug]\nlevel = "loud"\n' });
  await assert.rejects(daemon.start(), /config\.toml:3: debug\.level must be one of/);
});

test('config check lists keys of containerd that mean nothing here, config default reads back', async () => {
  const file = '/var/tmp/berth-test/check.toml';
  mkdirSync('/var/tmp/berth-test', { recursive: true });
  writeFileSync(file, 'version = 2\ncolour = "red"\n[grpc]\naddress = "/run/x.sock"\n');
  const checked = await output(bin('berthd'), ['config', 'check', file]);
  assert.match(checked, /no meaning here, ignored: .*check\.toml:2: colour/);
  assert.match(checked, /grpc"\.address: "\/run\/berth\/berth\.sock" → "\/run\/x\.sock"/);
  writeFileSync(file, await output(bin('berthd'), ['config', 'default']));
  assert.equal(await output(bin('berthd'), ['config', 'check', file]), 'the configuration is valid');
});

test('a wrong word on the command line starts no daemon, and says which word was meant', async () => {
  const table: [string[], RegExp][] = [
    [['confg'], /^berthd: unknown command 'confg', want config, publish, oci-hook or none/],
    [['config', 'chek'], /^berthd: unknown command 'chek'\n\(Did you mean check\?\)/],
    [['--rot', '/x'], /^berthd: unknown option '--rot'\n\(Did you mean --root\?\)/],
  ];
  for (const [args, message] of table) {
    const { status, stderr } = await run(bin('berthd'), args);
    assert.equal(status, 1, args.join(' '));
    assert.match(stderr, message);
  }
});

test('logs in JSON are one object a line, and a call that failed is told with the id of its request', async () => {
  await using daemon = await startDaemon({ config: '[debug]\nformat = "json"\n' });
  await assert.rejects(output(ctr2, ['-a', daemon.address, 'tasks', 'start', 'nobody']), /nobody/);
  await until(() => daemon.log().includes('call failed'), 'the failed call in the log');
  const lines = daemon
    .log()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const failed = lines.find(({ msg }) => msg === 'call failed');
  assert.deepEqual(
    [failed?.level, failed?.method, failed?.namespace, failed?.kind],
    ['debug', '/containerd.services.containers.v1.Containers/Get', 'default', 'not_found'],
  );
  assert.equal(typeof failed?.requestId, 'number');
});

test('systemd is told when it serves and when it stops', async () => {
  const path = '/var/tmp/berth-test/notify.sock';
  await using daemon = new TestDaemon({ env: { NOTIFY_SOCKET: path } });
  const script = `import socket,os,sys\np=${JSON.stringify(path)}\nos.path.exists(p) and os.unlink(p)\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(p)\ns.settimeout(30)\nprint(s.recv(99).decode());print(s.recv(99).decode())`;
  const heard = output('python3', ['-c', script]);
  await until(() => existsSync(path), 'the listener');
  await daemon.start();
  await daemon.stop();
  assert.equal(await heard, 'READY=1\nSTOPPING=1');
});

test('the uuid of a root is made once and kept', async () => {
  await using daemon = await startDaemon();
  const uuid = readFileSync(join(daemon.root, 'uuid'), 'utf8');
  await daemon.restart();
  assert.equal(readFileSync(join(daemon.root, 'uuid'), 'utf8'), uuid);
});

test('NODE_TLS_REJECT_UNAUTHORIZED=0 is refused, any other value is not', async () => {
  await using refused = new TestDaemon({ env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } });
  await assert.rejects(refused.start(), /NODE_TLS_REJECT_UNAUTHORIZED=0 would trust any server: unset it/);
  await using daemon = await startDaemon({ env: { NODE_TLS_REJECT_UNAUTHORIZED: '1' } });
  assert.match(await output(ctr2, ['-a', daemon.address, 'version']), /Server:/);
});

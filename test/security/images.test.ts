import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { shimSocketPath } from '../../src/runtime/shim-launch.ts';
import { violationsAtRest } from '../kit/checker.ts';
import { commandOf, processesOf } from '../kit/daemon.ts';
import { openFds } from '../kit/open-fds.ts';
import { ctr2 } from '../kit/paths.ts';
import { run } from '../kit/run.ts';
import { dir, file, symlink, type TarMember } from '../kit/tar-builder.ts';
import { compareTrees, readTree, type Tree } from '../kit/tree.ts';
import { until } from '../kit/until.ts';
import { field, SecurityStage } from './stage.ts';

const canary = 'canary-2f61c0de';
let stage: SecurityStage;
let outside: string;
let host: Tree;
before(async () => {
  stage = await SecurityStage.open({ BERTH_CANARY: canary, FOO: canary, HOME: `/${canary}` });
  outside = mkdtempSync('/var/tmp/berth-sentinel-');
  mkdirSync(join(outside, 'etc'));
  writeFileSync(join(outside, 'etc/passwd'), 'app:x:4242:4242::/:/bin/sh\n', { mode: 0o4755 });
  host = readTree(outside);
});
after(async () => {
  await stage[Symbol.asyncDispose]();
  rmSync(outside, { recursive: true });
});

/** HOST-UNCHANGED of security.md, and nothing of a container is left. */
async function assertUnharmed(): Promise<void> {
  assert.deepEqual(compareTrees(readTree(outside), host), []);
  assert.deepEqual(await stage.berth.containers.list(), []);
  assert.deepEqual(await violationsAtRest(stage.daemon.root, stage.daemon.state), []);
}

describe('the environment of an image', () => {
  const env = [
    'FOO',
    '*',
    '',
    '=x',
    'A B',
    'X=1\nY=2',
    'BERTH_CANARY',
    'GOOD=yes',
    '__proto__=p',
    'PATH=/bin',
  ];

  test('CVE-2026-57231: malformed entries pull nothing out of the daemon, the good ones are there', async () => {
    const image = stage.image('env', { Env: env });
    const shown = await stage.sh("cat /proc/self/environ | tr '\\000' '|'", image);
    assert.doesNotMatch(shown, new RegExp(canary));
    const entries = shown.split('|').filter((entry) => !/^(?:PWD=|SHLVL=|HOSTNAME=|$)/.test(entry));
    assert.deepEqual(entries.sort(), ['GOOD=yes', 'HOME=/', 'PATH=/bin', 'X=1\nY=2', '__proto__=p'].sort());
    await assertUnharmed();
  });

  test('CVE-2026-57231: the shim has nothing of the daemon’s environment', async () => {
    await stage.sh('true', stage.image('plain'));
    const shims = processesOf(stage.daemon.state).filter((pid) => commandOf(pid).startsWith('berth-shim'));
    assert.equal(shims.length, 1);
    const entries = readFileSync(`/proc/${shims[0]}/environ`, 'utf8').split('\0');
    const libraries = `LD_LIBRARY_PATH=${stage.daemon.root}/opt/lib`; // not the daemon's: where `ctr install` puts them
    assert.deepEqual(
      entries.filter((entry) => !/^(PATH=|NODE_COMPILE_CACHE=|$)/.test(entry) && entry !== libraries),
      [],
    );
  });
});

describe('with two hundred descriptors open in daemon and shim', () => {
  const sockets: Socket[] = [];
  before(async () => {
    await stage.sh('true', stage.image('plain'));
    const paths = [stage.daemon.address, shimSocketPath(stage.daemon.state)];
    for (let i = 0; i < 200; i++) for (const path of paths) sockets.push(connect(path).on('error', () => {}));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    await until(() => openFds(stage.daemon.pid) > 200, 'the daemon to take the connections');
  });
  after(() => {
    for (const socket of sockets) socket.destroy();
  });

  test('CVE-2016-9962, CVE-2024-21626, CVE-2026-57231: an OCI runtime gets stdio and a path, nothing else', async () => {
    const image = stage.image('plain');
    const seen = join(stage.daemon.dir, 'seen');
    const wrapper = join(stage.daemon.dir, 'runtime');
    writeFileSync(wrapper, wrapperScript(seen), { mode: 0o755 });
    const args = ['-a', stage.daemon.address, 'run', '--rm', '--runc-binary', wrapper];
    const { status, stderr } = await run(ctr2, [...args, image, 'wrapped', '/bin/true']);
    assert.equal(status, 0, stderr);
    const calls = readFileSync(seen, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as RuntimeCall);
    assert.ok(calls.some(({ args: words }) => words.includes('create')));
    for (const { args: words, env, fds } of calls) {
      assert.deepEqual(
        Object.keys(fds).filter((fd) => Number(fd) > 2),
        [],
        `${words} ${JSON.stringify(fds)}`,
      );
      assert.deepEqual(
        Object.keys(env).filter((name) => name !== 'PATH' && name !== 'LC_CTYPE'),
        [],
      );
    }
    rmSync(seen);
    rmSync(wrapper);
    await assertUnharmed();
  });

  test('CVE-2016-9962, CVE-2024-21626: a container and an exec have three', async () => {
    // In one process: the pipes of a shell would count, too.
    const count = 'for fd in /proc/$$/fd/*; do if test -h "$fd"; then echo "$fd"; fi; done';
    const own = (shown: string) =>
      shown
        .split('\n')
        .map((path) => Number(path.split('/').pop()))
        .filter((fd) => fd > 3 && fd !== 10);
    assert.deepEqual(own(await stage.sh(count, stage.image('plain'))), []);
    await using _ = await running(stage.image('plain'));
    const { stdout, stderr } = await stage.cli('exec', 'user', '/bin/sh', '-c', count);
    assert.match(stdout, /\/0\n/, stderr);
    assert.deepEqual(own(stdout.trim()), []);
  });
});

interface RuntimeCall {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly fds: Readonly<Record<string, string>>;
}

/** A runtime that writes down what it was given and goes on as runc. */
const wrapperScript = (seen: string): string => `#!/usr/bin/python3
import json, os, sys
fds = {}
for fd in os.listdir('/proc/self/fd'):
    try: fds[fd] = os.readlink('/proc/self/fd/' + fd)
    except OSError: pass
with open('${seen}', 'a') as file: file.write(json.dumps({'args': sys.argv, 'env': dict(os.environ), 'fds': fds}) + chr(10))
os.execvp('runc', ['runc'] + sys.argv[1:])
`;

test('CVE-2026-53488: labels of an image that daemons act on are dropped with a warning, a client’s own stay', async () => {
  const marker = join(outside, 'executed');
  const program = join(stage.daemon.dir, 'logger');
  writeFileSync(program, `#!/bin/sh\ntouch ${marker}\n`, { mode: 0o755 });
  const evil = {
    'containerd.io/restart.loguri': `binary://${program}`,
    'containerd.io/restart.status': 'running',
    'containerd.io/restart.policy': 'always',
    'containerd.io/gc.root': 'x',
    'containerd.io/gc.ref.content.0': `sha256:${'a'.repeat(64)}`,
    'containerd.io/gc.ref.snapshot.overlayfs': 'x',
    'containerd.io/snapshot/overlay.remove': 'x',
    'io.cri-containerd.kind': 'container',
    'io.cri-containerd.image': 'managed',
    'io.containerd.image.config.stop-signal': 'SIGCONT',
    'berth/logs': '/etc/shadow',
    'berth/name': 'stolen',
  };
  const image = stage.image('labels', { Labels: { ...evil, maintainer: 'me', [`__proto__`]: 'kept' } });
  await stage.berth.images.pull(image).image();
  const { id, name } = await stage.berth.containers.create({
    image,
    args: ['/bin/true'],
    labels: { 'containerd.io/restart.policy': 'no' },
  });
  const { labels } = await stage.berth.containers.get(id);
  assert.notEqual(name, 'stolen');
  assert.deepEqual(
    { ...labels },
    {
      maintainer: 'me',
      [`__proto__`]: 'kept',
      'containerd.io/restart.policy': 'no',
      'io.containerd.image.config.stop-signal': 'SIGTERM',
      'berth/name': name,
    },
  );
  assert.match(stage.daemon.log(), /labels of the image were not taken over.*restart\.loguri/);
  const record = (await stage.berth.images.get(image)).labels;
  for (const key of Object.keys(evil)) assert.ok(!(key in record), key);
  const task = await stage.berth.tasks.create(id);
  await task.start();
  await task.wait();
  await stage.berth.containers.remove(id, { force: true });
  assert.ok(!existsSync(marker));
  await assertUnharmed();
});

describe('links in an image lead nowhere but into it', () => {
  const passwd = 'app:x:1234:1234::/home/app:/bin/sh\n';
  /** Members, and whether user `app` is found as 1234 (else the container is refused). */
  const trees: Readonly<Record<string, readonly [members: () => TarMember[], found: boolean]>> = {
    'an ordinary /etc': [() => [dir('etc/'), file('etc/passwd', passwd)], true],
    'an absolute link of /etc inside': [
      () => [dir('nix/'), dir('nix/etc/'), file('nix/etc/passwd', passwd), symlink('etc', '/nix/etc')],
      true,
    ],
    'a relative link of /etc inside': [
      () => [dir('usr/'), dir('usr/etc/'), file('usr/etc/passwd', passwd), symlink('etc', './usr/etc')],
      true,
    ],
    'a link of /etc/passwd through three more': [
      () => [
        dir('etc/'),
        symlink('etc/passwd', '/a'),
        symlink('a', 'b'),
        symlink('b', '../../c'),
        file('c', passwd),
      ],
      true,
    ],
    'an absolute link of /etc to the host': [() => [symlink('etc', `${outside}/etc`)], false],
    'a climbing link of /etc to the host': [() => [symlink('etc', `../../../../../..${outside}/etc`)], false],
    'a link of /etc/passwd to the host': [
      () => [dir('etc/'), symlink('etc/passwd', `../../../../../../../..${outside}/etc/passwd`)],
      false,
    ],
    'a link of /etc/passwd through /proc': [
      () => [dir('etc/'), symlink('etc/passwd', `/proc/1/root${outside}/etc/passwd`)],
      false,
    ],
    'a link of /etc to itself': [() => [symlink('etc', 'etc')], false],
    'a file in place of /etc': [() => [file('etc', passwd)], false],
    'a FIFO in place of /etc/passwd': [() => [dir('etc/'), { name: 'etc/passwd', flag: '6' }], false],
    'a device in place of /etc/passwd': [
      () => [dir('etc/'), { name: 'etc/passwd', flag: '3', major: 1, minor: 5 }],
      false,
    ],
  };
  for (const [name, [members, found]] of Object.entries(trees))
    test(`CVE-2024-9676, CVE-2026-47262: ${name}`, async () => {
      const image = stage.image('etc', { User: 'app' }, members());
      const { status, stdout, stderr } = await stage.cli(
        'run',
        '--rm',
        '-q',
        '--pull',
        'always',
        image,
        '/bin/id',
        '-u',
      );
      assert.doesNotMatch(stdout, /4242/);
      if (found) assert.deepEqual([status, stdout, stderr], [0, '1234\n', '']);
      else assert.equal(status, 125, stderr);
      await assertUnharmed();
    });

  const escapes: Readonly<Record<string, string>> = {
    'an absolute link': '/OUTSIDE/made',
    'a climbing link': '/up/made',
    dots: '/bin/../../../../OUTSIDE/made',
    'a link chain': '/chain/made',
  };
  for (const [name, path] of Object.entries(escapes))
    test(`CVE-2026-55686: a WorkingDir through ${name} is made inside or not at all`, async () => {
      const members = [
        symlink('OUTSIDE', outside),
        symlink('up', `../../../../../../..${outside}`),
        symlink('chain', 'up'),
      ];
      const image = stage.image('workdir', { WorkingDir: path }, members);
      const { stdout } = await stage.cli('run', '--rm', '-q', '--pull', 'always', image, '/bin/pwd');
      if (stdout !== '') assert.match(stdout, /made\n$/);
      await assertUnharmed();
    });

  for (const cwd of ['/proc/self/fd/7', '/work', '/work/x', '/dev/fd/9', '/proc/1/root'])
    test(`CVE-2024-21626: WorkingDir ${cwd} is refused to berth and to ctr, which makes its own specification`, async () => {
      const image = stage.image('fd', { WorkingDir: cwd }, [symlink('work', '/proc/self/fd/8')]);
      const ours = await stage.cli('run', '--rm', '-q', '--pull', 'always', image, '/bin/pwd');
      assert.equal(ours.status, 125);
      assert.match(ours.stderr, /working directory .* is refused/);
      const theirs = await run(ctr2, ['-a', stage.daemon.address, 'run', '--rm', image, 'odd', '/bin/pwd']);
      assert.notEqual(theirs.status, 0);
      assert.match(theirs.stderr, /working directory .* is refused/);
      await assertUnharmed();
    });

  for (const name of ['proc', 'sys', 'dev'])
    for (const target of [`/OUTSIDE`, '../../../../etc', 'bin'])
      test(`CVE-2025-31133, CVE-2025-52565, CVE-2019-19921: /${name} as a link to ${target} is refused to berth and ctr`, async () => {
        const image = stage.image('odd', {}, [symlink(name, target.replace('/OUTSIDE', outside))]);
        const ours = await stage.cli('run', '--rm', '-q', '--pull', 'always', image, '/bin/true');
        assert.equal(ours.status, 125);
        assert.match(ours.stderr, new RegExp(`the image's /${name} is not a directory`));
        const theirs = await run(ctr2, [
          '-a',
          stage.daemon.address,
          'run',
          '--rm',
          image,
          'odd',
          '/bin/true',
        ]);
        assert.notEqual(theirs.status, 0);
        assert.match(theirs.stderr, new RegExp(`the image's /${name} is not a directory`));
        await assertUnharmed();
      });

  test('CVE-2025-31133: their twin with real directories runs with both', async () => {
    const image = stage.image(
      'real',
      {},
      ['proc/', 'sys/', 'dev/'].map((name) => dir(name)),
    );
    assert.equal(await stage.sh('cat /proc/self/comm', image), 'cat');
    const theirs = await run(ctr2, ['-a', stage.daemon.address, 'run', '--rm', image, 'real', '/bin/pwd']);
    assert.deepEqual([theirs.status, theirs.stdout], [0, '/\n'], theirs.stderr);
  });
});

describe('USER of an image', () => {
  const accounts = [
    dir('etc/'),
    file(
      'etc/passwd',
      'root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\nwrap:x:4294967296:0::/:/bin/sh\n',
    ),
    file('etc/group', 'root:x:0:\napp:x:1001:\ndev:x:1005:app\nwrap:x:4294967296:\n'),
    file('secret', 'inside\n', { mode: 0o604, gid: 1001 }),
  ];
  /** `Uid Gid Groups` inside. */
  const users: Readonly<Record<string, string>> = {
    '': '0 0 0',
    '1000': '1000 1001 1001 1005',
    '1000:1001': '1000 1001 1001',
    '1000:7': '1000 7 7',
    app: '1000 1001 1001 1005',
    'app:dev': '1000 1005 1005',
    'app:1001': '1000 1001 1001',
    '77': '77 0 0',
  };
  const script = 'cat /proc/self/status; cat /secret; true';
  const shown = (status: string) =>
    [
      field(status, 'Uid')?.split('\t')[0],
      field(status, 'Gid')?.split('\t')[0],
      field(status, 'Groups'),
    ].join(' ');
  for (const [user, expected] of Object.entries(users))
    test(`CVE-2023-25173: ${JSON.stringify(user)} has its groups and its primary one among them, also in an exec`, async () => {
      const image = stage.image('user', { User: user }, accounts);
      const first = await stage.sh(script, image, '--pull', 'always');
      assert.equal(shown(first), expected);
      const denied = expected.split(' ').slice(1).includes('1001');
      assert.equal(/^inside$/m.test(first), !denied, 'mode g= of a group it is in');
      await using _ = await running(image);
      const again = await stage.cli(
        'exec',
        ...(user === '' ? [] : ['-u', user]),
        'user',
        '/bin/sh',
        '-c',
        script,
      );
      assert.equal(shown(again.stdout), expected, again.stderr);
    });

  const odd = [
    '2147483648',
    '4294967295',
    '4294967296',
    '-1',
    '9'.repeat(36),
    '1e3',
    '0x0',
    ' 0',
    '+5',
    'wrap',
    'app:wrap',
  ];
  for (const user of odd)
    test(`CVE-2024-40635, CVE-2026-46680: USER ${JSON.stringify(user)} starts no process, nor an exec`, async () => {
      const image = stage.image('user', { User: user }, accounts);
      const first = await stage.cli('run', '--rm', '-q', '--pull', 'always', image, '/bin/id', '-u');
      assert.deepEqual([first.status, first.stdout], [125, ''], first.stderr);
      await assertUnharmed();
      await using _ = await running(stage.image('plain', {}, accounts));
      const again = await stage.cli('exec', `--user=${user}`, 'user', '/bin/id', '-u');
      assert.notEqual(again.status, 0);
      assert.equal(again.stdout, '');
    });
});

/** A sleeping container named `user`, removed when disposed of. */
async function running(image: string): Promise<AsyncDisposable> {
  const { status, stderr } = await stage.cli(
    'run',
    '-d',
    '-q',
    '--pull',
    'always',
    '--name',
    'user',
    image,
    '/bin/sleep',
    '1000',
  );
  assert.equal(status, 0, stderr);
  return {
    [Symbol.asyncDispose]: async () => assert.equal((await stage.cli('rm', '-f', 'user')).status, 0),
  };
}

test('CVE-2026-95839: a client that asks for a malformed image a hundred times gets a hundred answers, and the next pull works', async () => {
  const { registry, berth, daemon } = stage;
  const slots: readonly ((odd: object, layers: readonly object[]) => object)[] = [
    (odd) => ({ subject: odd }),
    (odd) => ({ config: odd }),
    (odd, layers) => ({ layers: [...layers, odd] }),
  ];
  const digests = ['', 'sha256:', 'sha256:../../x', `md5:${'a'.repeat(32)}`, 5, null, []];
  const { pid } = daemon;
  const image = stage.image('right');
  await berth.images.pull(image).image();
  await until(() => openFds(pid) < 200, 'earlier connections to close');
  const before = openFds(pid);
  for (let i = 0; i < 100; i++) {
    const slot = slots[i % slots.length] ?? assert.fail();
    const odd = {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      size: 5,
      digest: digests[i % digests.length],
    };
    const manifest = (layers: readonly object[]) => ({ ...slot(odd, layers) }) as Record<string, unknown>;
    registry.addImage('malformed', 'x', [], { manifest });
    const reference = image.replace('right', 'malformed');
    await assert.rejects(berth.images.pull(reference).image(), { kind: 'invalid_argument' });
  }
  assert.equal(daemon.pid, pid);
  await until(() => openFds(pid) <= before + 5, `descriptors to be back at ${before}`);
  await berth.images.pull(image).image();
  await assertUnharmed();
});

test('CVE-2019-14891: a container over its memory limit is killed, shim, daemon and the next container are not', async () => {
  const bomb = 'x=a; while true; do x=$x$x; done';
  const image = stage.image('plain');
  const shim = () => processesOf(stage.daemon.state).filter((pid) => commandOf(pid).startsWith('berth-shim'));
  const [before] = shim();
  const { status } = await stage.cli('run', '--rm', '-q', '-m', '32m', image, '/bin/sh', '-c', bomb);
  assert.equal(status, 137);
  assert.deepEqual(shim(), [before]);
  assert.equal(await stage.sh('pwd', image), '/');
});

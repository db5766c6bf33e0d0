import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TestDaemon } from './kit/daemon.ts';
import { ctr2, top } from './kit/paths.ts';
import { output, run } from './kit/run.ts';

/** A file system of its own that the package is installed in, with a containerd of others in it. */
let dir: string;
let file: string;
const inside = (...path: string[]): string => join(dir, 'root', ...path);

const dpkg = (...words: string[]) =>
  output('dpkg', ['--root', inside(), '--force-depends', '--force-script-chrootless', ...words]);

before(async () => {
  mkdirSync('/var/tmp/berth-test', { recursive: true });
  dir = mkdtempSync('/var/tmp/berth-test/deb-');
  mkdirSync(inside('var/lib/dpkg/info'), { recursive: true });
  mkdirSync(inside('var/lib/dpkg/updates'));
  mkdirSync(inside('usr/lib'), { recursive: true });
  symlinkSync('usr/lib', inside('lib'));
  writeFileSync(inside('var/lib/dpkg/status'), '');
  const printed = await output('npm', ['run', '--silent', 'deb', '--', dir], {
    cwd: top,
    timeoutMs: 400_000,
  });
  file = printed.split('\n').at(-1) ?? '';
});
after(() => rmSync(dir, { recursive: true, force: true }));

/** What Debian's package of containerd has where ours does. */
async function otherContainerd(): Promise<string> {
  const tree = join(dir, 'other');
  mkdirSync(join(tree, 'DEBIAN'), { recursive: true });
  mkdirSync(join(tree, 'usr/bin'), { recursive: true });
  mkdirSync(join(tree, 'etc/containerd'), { recursive: true });
  writeFileSync(join(tree, 'usr/bin/containerd'), '#!/bin/sh\necho the other one\n', { mode: 0o755 });
  writeFileSync(join(tree, 'etc/containerd/config.toml'), 'version = 2\n');
  writeFileSync(join(tree, 'DEBIAN/conffiles'), '/etc/containerd/config.toml\n');
  writeFileSync(
    join(tree, 'DEBIAN/control'),
    'Package: containerd\nVersion: 1.6.20~ds1-1\nArchitecture: all\nMaintainer: x <x@localhost>\nDescription: x\n',
  );
  const made = join(dir, 'other.deb');
  await output('dpkg-deb', ['--root-owner-group', '--build', tree, made]);
  return made;
}

test('dpkg installs the package in the place of containerd, leaves its configuration, and the daemon runs from there', async () => {
  await dpkg('-i', await otherContainerd());
  await dpkg('-i', file);
  const states = await dpkg('-l');
  assert.match(states, /^ii\s+berth\s/m);
  assert.match(states, /^[ir]c\s+containerd\s/m, 'removed, its configuration kept');
  assert.match(await output(inside('usr/bin/containerd'), ['--version']), /^containerd berth 2\./);
  const config = inside('etc/containerd/config.toml');
  assert.equal(readFileSync(config, 'utf8'), 'version = 2\n');

  await using daemon = await new TestDaemon({ program: inside('usr/bin/containerd') }).start();
  assert.match(await output(ctr2, ['-a', daemon.address, 'version']), /Server:[\s\S]*berth-0\./);
  const exe = await output('readlink', [`/proc/${daemon.pid}/exe`]);
  assert.ok(exe.startsWith(inside('usr/lib/berth/node_modules/')), `${exe}: Node is the package's own`);
  const answer = await output(inside('usr/bin/berth'), ['-H', daemon.address, 'version', '--json']);
  assert.match(answer, /berth-0\./);
  assert.equal(await daemon.stop(), 0);
});

test('other packages that want a containerd of some version are content', async () => {
  const field = async (name: string) => await output('dpkg-deb', ['-f', file, name]);
  assert.match(await field('Provides'), /containerd \(= 2\.\d+\.\d+\), containerd\.io \(= 2\.\d+\.\d+\)/);
  for (const name of ['Conflicts', 'Replaces']) assert.equal(await field(name), 'containerd, containerd.io');
  writeFileSync(
    join(dir, 'needs.control'),
    'Package: needs\nVersion: 1\nArchitecture: all\nMaintainer: x <x@localhost>\nDepends: containerd (>= 1.6~), containerd.io (>= 1.7.27)\nDescription: x\n',
  );
  const tree = join(dir, 'needs');
  mkdirSync(join(tree, 'DEBIAN'), { recursive: true });
  writeFileSync(join(tree, 'DEBIAN/control'), readFileSync(join(dir, 'needs.control')));
  await output('dpkg-deb', ['--build', tree, join(dir, 'needs.deb')]);
  const unpack = ['--root', inside(), '--force-script-chrootless', '-i', join(dir, 'needs.deb')];
  assert.equal((await run('dpkg', unpack)).status, 0);
});

test('the unit is one that systemd takes: it notifies, delegates, reloads, and kills no container', async () => {
  const unit = readFileSync(inside('lib/systemd/system/containerd.service'), 'utf8');
  for (const line of [
    'Type=notify',
    'Delegate=yes',
    'KillMode=process',
    'Restart=always',
    'Alias=berth.service',
  ])
    assert.ok(unit.includes(`\n${line}\n`), line);
  assert.match(unit, /^ExecStart=\/usr\/bin\/containerd$/m);
  assert.match(unit, /^ExecReload=\/bin\/kill -HUP \$MAINPID$/m);
  const own = readFileSync(join(top, 'packaging/berth.service'), 'utf8');
  const common = (text: string) =>
    text.split('\n').filter((line) => !/^(Description|ExecStart|Alias)=/.test(line));
  assert.deepEqual(common(unit), common(own), 'the two units differ in what they start alone');
  if (!existsSync('/usr/bin/systemd-analyze')) return;
  const copy = join(dir, 'berth-test.service');
  writeFileSync(
    copy,
    unit.replace('/usr/bin/containerd', inside('usr/bin/containerd')).replace(/^Alias.*$/m, ''),
  );
  const checked = await run('systemd-analyze', ['verify', '--man=no', copy]);
  assert.doesNotMatch(checked.stderr, /berth-test\.service.*(?:[Uu]nknown|[Ii]nvalid|not executable)/);
});

test('removing it leaves nothing but data', async () => {
  await dpkg('-r', 'needs', 'berth');
  for (const path of ['usr/lib/berth', 'usr/bin/containerd', 'lib/systemd/system/containerd.service'])
    assert.equal(existsSync(inside(path)), false, path);
  await dpkg('-P', 'berth');
  assert.doesNotMatch(await dpkg('-l'), /\bberth\b/);
});

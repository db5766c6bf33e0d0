import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Stage } from './stage.ts';

/** Where files of the Container Device Interface lie; ours have names of their own. */
const cdi = '/var/run/cdi';
const madeCdi = !existsSync(cdi);
const vendor = `berth-test-${process.pid}.example`;
const files = ['yaml', 'json'].map((extension) => join(cdi, `${vendor}.${extension}`));
let stage: Stage;

before(async () => {
  stage = await Stage.open();
  await stage.ok('pull', '--plain-http', stage.image);
  // Root of a user namespace is nobody to the host: it must be let through to its bundle.
  chmodSync(stage.daemon.dir, 0o711);
  mkdirSync(cdi, { recursive: true });
  const text = join(stage.daemon.dir, 'text');
  writeFileSync(text, 'from the host\n');
  const [yaml = '', json = ''] = files;
  writeFileSync(
    yaml,
    `cdiVersion: "0.6.0"
kind: ${vendor}/thing
containerEdits:
  env: [THING=yes]
devices:
  - name: one
    containerEdits:
      deviceNodes: [{path: /dev/thing, hostPath: /dev/zero, permissions: r}]
      mounts: [{hostPath: ${text}, containerPath: /thing.txt}]
      hooks: [{hookName: createRuntime, path: /bin/touch, args: [touch, ${stage.daemon.dir}/hooked]}]
`,
  );
  const device = { name: 'two', containerEdits: { env: ['TWO=2'] } };
  writeFileSync(json, JSON.stringify({ cdiVersion: '0.5.0', kind: `${vendor}/json`, devices: [device] }));
});
after(async () => {
  for (const file of files) rmSync(file, { force: true });
  if (madeCdi) rmdirSync(cdi);
  await stage[Symbol.asyncDispose]();
});

const run = (...args: string[]) => stage.ok('run', '--rm', ...args);

test('a device of the Container Device Interface brings nodes, mounts, variables and hooks', async () => {
  const look = 'stat -c "%t:%T" /dev/thing; head -c 1 /dev/thing | wc -c; echo $THING $TWO; cat /thing.txt';
  const devices = ['--device', `${vendor}/thing=one`, '--annotation', `cdi.k8s.io/x=${vendor}/json=two`];
  const shown = await run(...devices, stage.image, 'sh', '-c', look);
  assert.equal(shown, '1:5\n1\nyes 2\nfrom the host');
  assert.ok(existsSync(join(stage.daemon.dir, 'hooked')));
});

test('a device of the host comes under its name or another, and only what was asked for may be done', async () => {
  const shown = await run(
    '--device',
    '/dev/full:/dev/fuller:r',
    stage.image,
    'sh',
    '-c',
    'head -c 2 /dev/fuller | wc -c; echo x > /dev/fuller || echo refused',
  );
  assert.match(shown, /^2\n.*refused/s);
});

test('devices that are not there are refused by name, and nothing is left', async () => {
  const table: [string, RegExp][] = [
    [`${vendor}/thing=three`, /unresolvable CDI devices .*thing=three/],
    ['/dev/nope', /device \/dev\/nope/],
    ['/etc/passwd', /is not a device node/],
    ['rel/ative', /want \/dev\/name/],
  ];
  for (const [device, words] of table) {
    const { status, stderr } = await stage.berth(['run', '--rm', '--device', device, stage.image, 'true']);
    assert.notEqual(status, 0);
    assert.match(stderr, words);
  }
  assert.equal(await stage.ok('ps', '-aq'), '');
});

test('berth run makes a user namespace: root inside is nobody outside, and owns the files', async () => {
  const look = 'cat /proc/self/uid_map; stat -c "%u:%g" /bin/busybox . ; touch new && stat -c "%u:%g" new';
  const shown = await run(
    '--uidmap',
    '0:100000:65536',
    '--gidmap',
    '0:200000:65536',
    '-w',
    '/made/here',
    stage.image,
    'sh',
    '-c',
    look,
  );
  assert.equal(shown.replace(/ +/g, ' ').trim(), '0 100000 65536\n0:0\n0:0\n0:0');
  const one = await run('--uidmap', '0:100000:65536', stage.image, 'cat', '/proc/self/gid_map');
  assert.equal(one.replace(/ +/g, ' ').trim(), '0 100000 65536');
});

test('maps that are none, and users without ranges, are refused', async () => {
  const table: [string[], RegExp][] = [
    [['--uidmap', '1:2:3'], /id map "1:2:3"/],
    [['--userns-remap', 'nobody-has-this-name'], /has no range of user|cannot read/],
    [['--userns-remap', 'x', '--uidmap', '0:1:1'], /excludes/],
  ];
  for (const [options, words] of table) {
    const { status, stderr } = await stage.berth(['run', '--rm', ...options, stage.image, 'true']);
    assert.notEqual(status, 0);
    assert.match(stderr, words);
  }
});

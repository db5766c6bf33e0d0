import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Leases } from '../../src/gen/containerd/services/leases/v1/leases_pb.ts';
import { createClient } from '../../src/rpc/grpc-client.ts';
import { output, run } from '../kit/run.ts';
import { failureOf, isMissing, loopsOver, MountStage, mount } from './stage.ts';

let stage: MountStage;
let root: string;
before(async () => {
  stage = await MountStage.open();
  root = join(stage.daemon.root, 'x');
  mkdirSync(root);
});
after(() => stage[Symbol.asyncDispose]());

const activate = async (name: string, mounts: ReturnType<typeof mount>[], more: object = {}, lease = '') => {
  const { info } = await stage.mounts.activate({ name, mounts, ...more }, lease === '' ? {} : { lease });
  assert.ok(info);
  return info;
};
const bind = (source = '/etc') => mount('bind', source, 'bind', 'ro');
/** Runs a whole collection. */
const collect = async () => {
  const leases = createClient(Leases, stage.channel);
  await leases.create({ id: 'gc' });
  await leases.delete({ id: 'gc', sync: true });
};
const image = () =>
  mount('mkfs/loop', `${root}/disk.img`, 'X-containerd.mkfs.size=32MiB', 'X-containerd.mkfs.fs=ext4');
const chain = (upper: string) => [
  image(),
  mount('format/ext4', '{{ mount 0 }}'),
  mount(
    'format/mkdir/overlay',
    'overlay',
    `X-containerd.mkdir.path={{ mount 1 }}/${upper}:0755`,
    'X-containerd.mkdir.path={{ mount 1 }}/work:0711:7:8',
    `upperdir={{ mount 1 }}/${upper}`,
    'workdir={{ mount 1 }}/work',
    'lowerdir=/etc',
  ),
];

test('M-1: a file system is made, put over a loop device, mounted, and an overlay is left for the caller', async () => {
  const lease = await createClient(Leases, stage.channel).create({ id: 'chain' });
  const info = await activate('chain', chain('upper'), {}, lease.lease?.id);
  const [device, disk] = info.active;
  assert.equal(info.active.length, 2);
  assert.equal(lstatSync(device?.mountPoint ?? '').isSymbolicLink(), true);
  assert.equal(statSync(`${disk?.mountPoint}/upper`).mode & 0o777, 0o755);
  const { mode, uid, gid } = statSync(`${disk?.mountPoint}/work`);
  assert.deepEqual([mode & 0o777, uid, gid], [0o711, 7, 8]);
  const [overlay] = info.system;
  assert.equal(overlay?.type, 'overlay');
  assert.deepEqual(overlay?.options, [
    `upperdir=${disk?.mountPoint}/upper`,
    `workdir=${disk?.mountPoint}/work`,
    'lowerdir=/etc',
  ]);
  const at = join(stage.daemon.dir, 'at');
  mkdirSync(at);
  await output('mount', ['-t', 'overlay', 'overlay', '-o', overlay?.options.join(',') ?? '', at]);
  writeFileSync(join(at, 'new'), 'kept');
  await output('umount', [at]);
  assert.equal(loopsOver(root).length, 1);

  await stage.mounts.deactivate({ name: 'chain' });
  assert.deepEqual(stage.left(), []);
  assert.deepEqual(loopsOver(root), []);
  const again = await activate('chain', [image(), mount('format/ext4', '{{ mount 0 }}')], {
    temporary: true,
  });
  assert.deepEqual(again.system, [{ ...again.system[0], type: 'bind', options: ['rbind'] }]);
  assert.equal(readFileSync(join(again.system[0]?.source ?? '', 'upper/new'), 'utf8'), 'kept');
  await stage.mounts.deactivate({ name: 'chain' });
});

test('an EROFS image is mounted where an overlay names it', async () => {
  const [dir, file] = [join(root, 'tree'), join(root, 'tree.erofs')];
  mkdirSync(dir);
  writeFileSync(join(dir, 'f'), 'in the image');
  await output(
    'mkfs.erofs',
    ['-q', file, dir].filter((word) => word !== '-q'),
  );
  const mounts = [mount('erofs', file, 'ro', 'loop'), mount('format/bind', '{{ mount 0 }}', 'bind')];
  const info = await activate('erofs', mounts);
  assert.equal(readFileSync(join(info.system[0]?.source ?? '', 'f'), 'utf8'), 'in the image');
  await stage.mounts.deactivate({ name: 'erofs' });
});

test('a file with a file system is mounted by the option loop', async () => {
  const info = await activate('option', [mount('ext4', `${root}/disk.img`, 'loop', 'ro')], {
    temporary: true,
  });
  assert.equal(existsSync(join(info.active[0]?.mountPoint ?? '', 'upper/new')), true);
  await stage.mounts.deactivate({ name: 'option' });
  assert.deepEqual(loopsOver(root), []);
});

test('what nothing keeps is collected; a lease and the labels gc.bref keep it', async () => {
  const leases = createClient(Leases, stage.channel);
  await leases.create({ id: 'keeper' });
  await activate('leased', [bind()], { temporary: true }, 'keeper');
  await activate('image-like', [bind()], {
    temporary: true,
    labels: { 'containerd.io/gc.bref.image': 'no.such/image' },
  });
  await activate('loose', [bind()], { temporary: true });
  await collect();
  assert.deepEqual(await stage.names(), ['leased']);
  assert.equal(stage.left().length > 0, true);
  await leases.delete({ id: 'keeper', sync: true });
  assert.deepEqual(await stage.names(), []);
  assert.deepEqual(stage.left(), []);
});

test('a mount that is busy is told, and goes with a later collection', async () => {
  const info = await activate('busy', [bind('/usr')], { temporary: true });
  const child = run('sleep', ['1000'], { cwd: info.active[0]?.mountPoint ?? '/', timeoutMs: 60_000 });
  const { pid } = await waitForUser(info.active[0]?.mountPoint ?? '');
  assert.match(
    await failureOf(stage.mounts.deactivate({ name: 'busy' })),
    /^unknown \| mount "busy" cannot be undone yet/,
  );
  assert.deepEqual(await stage.names(), []);
  process.kill(pid, 'SIGKILL');
  await child;
  await collect();
  assert.deepEqual(stage.left(), []);
});

async function waitForUser(dir: string): Promise<{ pid: number }> {
  for (;;) {
    const { stdout } = await run('bash', [
      '-c',
      `for p in /proc/[0-9]*; do [ "$(readlink $p/cwd)" = ${dir} ] && basename $p; done`,
    ]);
    const pid = Number(stdout.trim().split('\n')[0]);
    if (pid > 0) return { pid };
  }
}

test('kill -9: what was made stays and can be undone; what is not there or not written down goes', async () => {
  const leases = createClient(Leases, stage.channel);
  await leases.create({ id: 'survivor' });
  await activate('stays', chain('upper2'), {}, 'survivor');
  const gone = await activate('gone', [bind()], { temporary: true }, 'survivor');
  const stray = join(stage.daemon.state, 'mounts/987654/1');
  mkdirSync(stray, { recursive: true });
  await output('mount', ['-t', 'tmpfs', 'stray', stray]);
  await output('umount', [gone.active[0]?.mountPoint ?? '']);
  await stage.restart('SIGKILL');
  assert.deepEqual(await stage.names(), ['stays']);
  const { info } = await stage.mounts.info({ name: 'stays' });
  assert.deepEqual(
    info?.active.map(({ mount }) => mount?.type),
    ['loop', 'ext4'],
  );
  assert.equal(existsSync(stray), false);
  assert.equal(existsSync(join(info?.active[1]?.mountPoint ?? '', 'upper2')), true);
  await stage.mounts.deactivate({ name: 'stays' });
  assert.deepEqual(stage.left(), []);
  assert.deepEqual(loopsOver(root), []);
});

test('kill -9 in the middle of an activation leaves nothing', async () => {
  const big = mount(
    'mkfs/loop',
    `${root}/big.img`,
    'X-containerd.mkfs.size=64GiB',
    'X-containerd.mkfs.fs=ext4',
  );
  const cut = failureOf(activate('cut', [bind(), big], { temporary: true }));
  const begun = () => (statSync(`${root}/.big.img.mkfs`, { throwIfNoEntry: false })?.blocks ?? 0) > 0;
  while (!begun()) await new Promise((resolve) => setImmediate(resolve));
  await stage.restart('SIGKILL');
  assert.notEqual(await cut, 'none');
  assert.deepEqual(await stage.names(), []);
  assert.deepEqual(stage.left(), []);
  assert.equal(existsSync(`${root}/big.img`), false, 'a half-made file system must not be taken for one');
});

test('names: any text is one, and only one activation has it', async () => {
  const odd = '../a/b\0c';
  await createClient(Leases, stage.channel).create({ id: 'names' });
  await activate(odd, [bind()], { temporary: true }, 'names');
  assert.equal(
    await failureOf(activate(odd, [bind()], { temporary: true })),
    `already_exists | mount ${JSON.stringify(odd)}: already exists`,
  );
  assert.deepEqual(await stage.names(), [odd]);
  await stage.mounts.deactivate({ name: odd });
  await assert.rejects(stage.mounts.info({ name: odd }), isMissing);
  const [first, ...rest] = await Promise.allSettled(
    Array.from({ length: 5 }, () => activate('race', [bind()], { temporary: true }, 'names')),
  );
  assert.equal([first, ...rest].filter((one) => one?.status === 'fulfilled').length, 1);
  await stage.mounts.deactivate({ name: 'race' });
});

test('List takes filters', async () => {
  await createClient(Leases, stage.channel).create({ id: 'filters' });
  for (const name of ['f1', 'f2'])
    await activate(name, [bind()], { temporary: true, labels: { of: name } }, 'filters');
  const found = await Array.fromAsync(stage.mounts.list({ filters: ['labels.of==f2'] }));
  assert.deepEqual(
    found.map(({ info }) => info?.name),
    ['f2'],
  );
  for (const name of ['f1', 'f2']) await stage.mounts.deactivate({ name });
});

/** As containerd 2.3.4 answers, beside; `@` is the directory in which things may be made. */
const words: readonly [string, () => Promise<unknown>, string | RegExp][] = [
  ['nothing at all', () => stage.mounts.activate({}), 'not_implemented | not implemented'],
  ['a plain mount', () => activate('w', [bind()]), 'not_implemented | not implemented'],
  [
    'an unknown transform',
    () => activate('w', [mount('foo/bind', '/etc')]),
    'not_implemented | not implemented',
  ],
  ['no name', () => activate('', [bind()], { temporary: true }), 'unknown | bucket name required'],
  [
    'Deactivate of nothing',
    () => stage.mounts.deactivate({ name: 'x' }),
    'not_found | missing mount "x" bucket: not found',
  ],
  ['Info of nothing', () => stage.mounts.info({ name: 'x' }), /^not_found \| mount "x" not found/],
  ['Update', () => stage.mounts.update({}), 'not_implemented | not implemented'],
  [
    'a source that is not there',
    () => activate('w', [bind('/nonexist')], { temporary: true }),
    /^unknown \| mount failed \{bind \/nonexist {2}\[bind ro\]\}: mount source: "\/nonexist", target: ".*\/1", fstype: bind, flags: 4097, data: "", err: no such file or directory$/,
  ],
  [
    'an unknown type',
    () => activate('w', [mount('wibble', '/etc')], { temporary: true }),
    /fstype: wibble, flags: 0, data: "", err: no such device$/,
  ],
  [
    'an EROFS image that is none',
    () => activate('w', [mount('erofs', '/etc/passwd')]),
    /^unknown \| mount handler failed \{erofs \/etc\/passwd {2}\[\]\}: failed to create fs: /,
  ],
  [
    'an index out of bounds',
    () => activate('w', [mount('format/bind', '{{ mount 0 }}')]),
    /^unknown \| template: :1:3: executing "" at <mount 0>: error calling mount: index out of bounds: 0, has 0 active mounts$/,
  ],
  [
    'mkdir outside',
    () => activate('w', [mkdirAt('/tmp/zzz')]),
    'not_implemented | no root "/tmp/zzz" configured for mkdir: not implemented',
  ],
  [
    'mkdir of nothing',
    () => activate('w', [mkdirAt('')]),
    'not_implemented | no root "" configured for mkdir: not implemented',
  ],
  [
    'mkdir with half an owner',
    () => activate('w', [mkdirAt('/d:0755:12')]),
    'invalid_argument | invalid mkdir option "X-containerd.mkdir.path=/d:0755:12": invalid argument',
  ],
  [
    'mkdir with an odd mode',
    () => activate('w', [mkdirAt('@/d:9')]),
    'unknown | invalid mode 9: strconv.ParseUint: parsing "9": invalid syntax',
  ],
  ['mkdir setuid', () => activate('w', [mkdirAt('@/d:4755')]), 'unknown | invalid mode 4755'],
  [
    'mkdir of an odd owner',
    () => activate('w', [mkdirAt('@/d:0755:a:0')]),
    'invalid_argument | invalid uid "a": invalid argument',
  ],
  [
    'mkdir in a directory that is not there',
    () => activate('w', [mkdirAt('@/x/y/z:0755')]),
    /^unknown \| failed to create directory ".*\/x\/y\/z": mkdirat .*: no such file or directory$/,
  ],
  [
    'mkdir that climbs out',
    () => activate('w', [mkdirAt('@/../../../../etc/zz')]),
    /^unknown \| failed to create directory .*: no such file or directory$/,
  ],
  [
    'mkfs outside',
    () => activate('w', [mount('mkfs/loop', '/tmp/q.img', 'X-containerd.mkfs.size=1MiB')]),
    'not_implemented | no root "/tmp/q.img" configured for mkfs: not implemented',
  ],
  [
    'mkfs without a size',
    () => activate('w', [mkfsAt()]),
    'invalid_argument | mkfs requires mkfs.size option: invalid argument',
  ],
  [
    'mkfs of an odd size',
    () => activate('w', [mkfsAt('size=-5')]),
    "unknown | bad option size: invalid size: '-5'",
  ],
  [
    'mkfs of an unknown kind',
    () => activate('w', [mkfsAt('size=1m', 'fs=vfat')]),
    'invalid_argument | unsupported filesystem "vfat": invalid argument',
  ],
  [
    'mkfs with an unknown option',
    () => activate('w', [mkfsAt('bogus=1', 'size=1')]),
    'invalid_argument | unknown mount option bogus: invalid argument',
  ],
  [
    'mkfs with a UUID that is none',
    () => activate('w', [mkfsAt('size=16MiB', 'uuid=nope')]),
    /^unknown \| failed format ".*\/w.img": mkfs.ext4 failed: .*could not parse UUID: nope$/,
  ],
  [
    'too many',
    () =>
      activate(
        'w',
        Array.from({ length: 300 }, () => bind()),
        { temporary: true },
      ),
    /^invalid_argument \| too many mounts/,
  ],
];
const mkdirAt = (path: string) =>
  mount('mkdir/bind', '/etc', `X-containerd.mkdir.path=${path.replace('@', root)}`, 'bind');
const mkfsAt = (...options: string[]) =>
  mount('mkfs/loop', `${root}/w.img`, ...options.map((one) => `X-containerd.mkfs.${one}`));

for (const [name, call, expected] of words)
  test(`${name}: code and words are containerd's, and nothing is left`, async () => {
    const failure = await failureOf(call());
    if (typeof expected === 'string') assert.equal(failure, expected);
    else assert.match(failure, expected);
    assert.deepEqual(stage.left(), []);
    assert.deepEqual(await stage.names(), []);
    assert.equal(existsSync(`${root}/w.img`), false);
  });

test('a link in the way of mkdir and mkfs is not followed (CVE-2026-41568)', async () => {
  const victim = join(stage.daemon.dir, 'victim');
  mkdirSync(victim);
  symlinkSync(victim, join(root, 'link'));
  assert.match(
    await failureOf(activate('w', [mkdirAt('@/link/made')])),
    /^unknown \| failed to create directory/,
  );
  const image = mount('mkfs/loop', `${root}/link/made.img`, 'X-containerd.mkfs.size=1MiB');
  assert.match(await failureOf(activate('w', [image])), /^unknown \| failed to create file/);
  assert.deepEqual(await run('ls', ['-A', victim]).then(({ stdout }) => stdout), '');
});

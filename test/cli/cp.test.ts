import assert from 'node:assert/strict';
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { ctr2 } from '../kit/paths.ts';
import { output, run } from '../kit/run.ts';
import { program, Stage } from './stage.ts';

let stage: Stage;
let dir: string;
before(async () => {
  stage = await Stage.open();
  await stage.ok('pull', '-q', stage.image);
  await stage.ok('run', '-d', '--name', 'up', stage.image, 'sleep', '100000');
  await stage.ok(
    'run',
    '--name',
    'down',
    stage.image,
    'sh',
    '-c',
    'mkdir -p /made/sub; echo deep >/made/sub/f; ln /made/sub/f /made/g',
  );
});
beforeEach(() => {
  if (dir) rmSync(dir, { recursive: true, force: true });
  dir = mkdtempSync(join(stage.daemon.dir, 'cp-'));
});
after(() => stage[Symbol.asyncDispose]());

const cp = (...args: string[]) => stage.ok('cp', ...args);
const fails = async (...args: string[]) => {
  const { status, stderr } = await stage.berth(['cp', ...args]);
  assert.notEqual(status, 0, args.join(' '));
  return stderr;
};
const exec = (...args: string[]) => stage.ok('exec', 'up', ...args);
const file = (name: string, text = name) => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};
const readHere = (...name: string[]) => readFileSync(join(dir, ...name), 'utf8');

test('a file goes in under the name given, into a directory that is there, and over a file', async () => {
  const here = file('f', 'one');
  await cp(here, 'up:/named');
  assert.equal(await exec('cat', '/named'), 'one');
  await exec('mkdir', '-p', '/there');
  await cp(here, 'up:/there');
  await cp(here, 'up:there/');
  assert.equal(await exec('cat', '/there/f'), 'one');
  await cp(file('g', 'two'), 'up:/named');
  assert.equal(await exec('cat', '/named'), 'two');
  assert.match(await fails(here, 'up:/nope/'), /the directory \/nope\/ does not exist/);
  assert.match(await fails(here, 'up:/nope/f'), /there is no \/nope/);
  assert.match(await fails(here, 'up:/named/'), /not a directory/);
  assert.match(await fails(join(dir, 'none'), 'up:/x'), /there is no .*none/);
});

test('a file comes out the same ways', async () => {
  await exec('sh', '-c', 'echo hello >/out');
  await cp('up:/out', join(dir, 'named'));
  await cp('up:out', dir);
  assert.deepEqual([readHere('named'), readHere('out')], ['hello\n', 'hello\n']);
  assert.match(await fails('up:/out', join(dir, 'nope/')), /does not exist/);
  assert.match(await fails('up:/none', dir), /there is no \/none/);
  assert.match(await fails('nobody:/out', dir), /no container is called/);
});

test('a directory becomes the name that is not there, or goes into one that is; with /. only what is in it', async () => {
  mkdirSync(join(dir, 'tree/sub'), { recursive: true });
  file('tree/a', 'A');
  file('tree/sub/b', 'B');
  await cp(join(dir, 'tree'), 'up:/new');
  assert.equal(await exec('cat', '/new/a', '/new/sub/b'), 'AB');
  await cp(join(dir, 'tree'), 'up:/new');
  assert.equal(await exec('cat', '/new/tree/sub/b'), 'B');
  await exec('mkdir', '/into');
  await cp(`${dir}/tree/.`, 'up:/into');
  assert.equal(await exec('ls', '/into'), 'a\nsub');
  await cp('up:/new', join(dir, 'back'));
  assert.equal(readHere('back', 'tree', 'sub', 'b'), 'B');
  mkdirSync(join(dir, 'here'));
  await cp('up:/new/.', join(dir, 'here'));
  assert.equal(readHere('here', 'a'), 'A');
  await cp('up:/new/.', join(dir, 'fresh'));
  assert.equal(readHere('fresh', 'sub', 'b'), 'B');
  assert.match(await fails(join(dir, 'tree'), 'up:/new/a'), /cannot copy the directory/);
  file('plain');
  assert.match(await fails('up:/new', join(dir, 'plain')), /cannot copy the directory/);
  assert.match(await fails(`${dir}/plain/`, 'up:/new'), /not a directory/);
});

test('nothing takes the place of something of another kind', async () => {
  await exec('sh', '-c', 'mkdir -p /kind/x; echo file >/kind/y');
  mkdirSync(join(dir, 'kind/y'), { recursive: true });
  assert.match(await fails(join(dir, 'kind'), 'up:/'), /cannot overwrite non-directory/);
  rmSync(join(dir, 'kind/y'), { recursive: true });
  file('kind/x');
  assert.match(await fails(join(dir, 'kind'), 'up:/'), /cannot overwrite directory/);
});

test('containers that do not run are read and written the same way, and show it when they start', async () => {
  await cp('down:/made', join(dir, 'made'));
  assert.equal(readHere('made', 'sub', 'f'), 'deep\n');
  assert.equal(
    statSync(join(dir, 'made/g')).ino,
    statSync(join(dir, 'made/sub/f')).ino,
    'hard links stay one file',
  );
  await cp(file('put', 'written'), 'down:/made/put');
  await cp('down:/made/put', join(dir, 'again'));
  assert.equal(readHere('again'), 'written');
  const never = await output(ctr2, [
    '-a',
    stage.daemon.address,
    'c',
    'create',
    stage.image,
    'never',
    'cat',
    '/seeded',
  ]);
  assert.equal(never, '');
  await cp(file('seed', 'seeded'), 'never:/seeded');
  await cp('never:/bin/busybox', join(dir, 'busybox'));
  assert.ok(statSync(join(dir, 'busybox')).size > 100_000);
  assert.equal(await output(ctr2, ['-a', stage.daemon.address, 'task', 'start', 'never']), 'seeded');
});

test('symlinks are copied as links, followed with -L, and followed as destinations', async () => {
  await exec(
    'sh',
    '-c',
    'mkdir -p /real; echo r >/real/f; ln -s /real/f /link; ln -s /real /dirlink; ln -s loop2 /loop; ln -s loop /loop2',
  );
  await cp('up:/link', join(dir, 'link'));
  assert.equal(readlinkSync(join(dir, 'link')), '/real/f');
  await cp('-L', 'up:/link', join(dir, 'content'));
  assert.equal(readHere('content'), 'r\n');
  await cp(file('new', 'n'), 'up:/dirlink');
  assert.equal(await exec('cat', '/real/new'), 'n');
  await cp(file('over', 'o'), 'up:/link');
  assert.equal(await exec('cat', '/real/f'), 'o');
  assert.equal(await exec('readlink', '/link'), '/real/f');
  assert.match(await fails('-L', 'up:/loop', dir), /too many levels of symbolic links/);
  symlinkSync('new', join(dir, 'mine'));
  await cp(join(dir, 'mine'), 'up:/mine');
  assert.equal(await exec('readlink', '/mine'), 'new');
  await cp('-L', join(dir, 'mine'), 'up:/mine2');
  assert.equal(await exec('cat', '/mine2'), 'n');
});

test("owners are root's in the container and the caller's here, unless -a keeps them; modes and times stay", async () => {
  const here = file('owned');
  chownSync(here, 1234, 2345);
  await output('chmod', ['4751', here]);
  await output('touch', ['-d', '2001-02-03T04:05:06Z', here]);
  await cp(here, 'up:/owned');
  assert.equal(await exec('stat', '-c', '%u:%g %a %Y', '/owned'), '0:0 4751 981173106');
  await cp('-a', here, 'up:/owned');
  assert.equal(await exec('stat', '-c', '%u:%g %a', '/owned'), '1234:2345 4751');
  await cp('up:/owned', join(dir, 'plain'));
  await cp('-a', 'up:/owned', join(dir, 'kept'));
  assert.deepEqual([statSync(join(dir, 'plain')).uid, statSync(join(dir, 'kept')).uid], [0, 1234]);
  assert.equal(statSync(join(dir, 'kept')).mtimeMs, 981173106_000);
});

test('named pipes and devices are copied as what they are, and nothing waits for them', async () => {
  await exec('sh', '-c', 'mkdir /odd; mkfifo /odd/pipe; mknod /odd/dev c 1 3; echo x >/odd/last');
  await cp('up:/odd', join(dir, 'odd'));
  assert.ok(lstatSync(join(dir, 'odd/pipe')).isFIFO());
  assert.ok(lstatSync(join(dir, 'odd/dev')).isCharacterDevice());
  await cp(join(dir, 'odd'), 'down:/odd');
  const list = await output('sh', ['-c', `${program} cp down:/odd - | tar tv`], { env: stage.env });
  assert.match(list, /^crw.* 1,3 .*odd\/dev$/m);
  assert.match(list, /^prw.*odd\/pipe$/m);
});

test('- is a tar on standard output or input, as GNU tar writes and reads them', async () => {
  await exec('sh', '-c', 'mkdir -p /t/u; echo 1 >/t/u/f');
  const shell = (line: string) => output('sh', ['-c', line], { env: stage.env, cwd: dir });
  assert.equal(await shell(`${program} cp up:/t - | tar t`), 't/\nt/u/\nt/u/f');
  assert.equal(await shell(`${program} cp up:/t/. - | tar t`), './\n./u/\n./u/f');
  await shell(
    `mkdir -p pack/${'long'.repeat(40)}; echo x >pack/${'long'.repeat(40)}/f; tar c pack | ${program} cp - up:/t`,
  );
  assert.equal(await exec('cat', `/t/pack/${'long'.repeat(40)}/f`), 'x');
  const { status, stderr } = await run('sh', ['-c', `echo no tar | ${program} cp - up:/t`], {
    env: stage.env,
  });
  assert.notEqual(status, 0);
  assert.match(stderr, /tar|archive/);
  assert.match(await fails('-', 'up:/t/u/f'), /not a directory/);
});

test('a large file, holes and many small ones arrive whole', async () => {
  await output(
    'sh',
    [
      '-c',
      'head -c 40000000 /dev/urandom >big; truncate -s 20000000 hole; echo end >>hole; for i in $(seq 500); do echo $i >$i; done',
    ],
    { cwd: dir },
  );
  await cp(dir, 'up:/many');
  await cp('up:/many', join(stage.daemon.dir, 'many'));
  assert.equal(await output('diff', ['-r', dir, join(stage.daemon.dir, 'many')]), '');
  rmSync(join(stage.daemon.dir, 'many'), { recursive: true });
});

test('volumes of a running container are reached, those of one that does not run are refused', async () => {
  mkdirSync(join(dir, 'vol'));
  writeFileSync(join(dir, 'vol/f'), 'volume');
  await stage.ok('run', '-d', '--name', 'vol', '-v', `${dir}/vol:/vol`, stage.image, 'sleep', '100000');
  await cp('vol:/vol/f', join(dir, 'got'));
  assert.equal(readHere('got'), 'volume');
  await cp(file('in', 'i'), 'vol:/vol/in');
  assert.equal(readHere('vol', 'in'), 'i');
  await stage.ok('stop', '-t', '0', 'vol');
  assert.match(
    await fails(file('late'), 'vol:/vol/late'),
    /\/vol is a mount of the container, which does not run/,
  );
  assert.match(await fails('vol:/vol/f', dir), /is a mount of the container/);
  assert.ok(!existsSync(join(dir, 'vol/late')));
  await stage.ok('rm', '-f', 'vol');
});

test('a read-only root is not written to, running or not', async () => {
  await stage.ok('run', '-d', '--read-only', '--name', 'ro', stage.image, 'sleep', '100000');
  assert.match(await fails(file('f'), 'ro:/f'), /read-only/);
  await stage.ok('stop', '-t', '0', 'ro');
  assert.match(await fails(file('f'), 'ro:/f'), /read-only/);
  await cp('ro:/bin', join(dir, 'bin'));
  await stage.ok('rm', '-f', 'ro');
});

test('what cannot be is said', async () => {
  const here = file('f');
  assert.match(await fails(here, here), /one side of a copy must be in a container/);
  assert.match(await fails('up:/a', 'down:/b'), /copying between containers is not supported/);
  assert.match(await fails(here, 'up:'), /no path in the container/);
  assert.match(await fails('', 'up:/a'), /must not be empty/);
  assert.match(await fails('up:/proc/self', dir), /files of proc are not copied/);
  assert.match(await fails(here, 'up:/sys/kernel/f'), /files of sysfs are not copied/);
});

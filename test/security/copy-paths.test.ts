import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isKind, kindOf } from '../../src/errors/error.ts';
import { dir, file, hardlink, symlink, type TarMember, tar } from '../kit/tar-builder.ts';
import { SecurityStage } from './stage.ts';

let stage: SecurityStage;
let host: string;
let id: string;
let idle: string;
before(async () => {
  stage = await SecurityStage.open();
  host = join(stage.daemon.dir, 'host');
  mkdirSync(host);
  writeFileSync(join(host, 'secret'), 'secret of the host');
  const image = stage.image('copied');
  // Its directory /swap is now a directory, now a link out of its root; /kind/x now a file, now a pipe or a device.
  const script = `mkdir -p /kind; while :; do
    rm -rf /swap; mkdir /swap; echo mine >/swap/secret
    rm -rf /swap; ln -s ${host} /swap
    rm -rf /swap; ln -s ../../../../../../../..${host} /swap
    rm -rf /swap; ln -s /proc/1/root${host} /swap
    rm -f /kind/x; echo file >/kind/x; rm -f /kind/x; mkfifo /kind/x; rm -f /kind/x; mknod /kind/x c 1 5
  done`;
  const ended = await stage.cli('run', '-d', '-q', image, '/bin/busybox', 'sh', '-c', script);
  assert.equal(ended.status, 0, ended.stderr);
  id = ended.stdout.trim();
  idle = (await stage.berth.containers.create({ image, args: ['true'] })).id;
});
after(() => stage[Symbol.asyncDispose]());

const unchanged = () => {
  assert.deepEqual(readdirSync(host), ['secret']);
  assert.equal(readFileSync(join(host, 'secret'), 'utf8'), 'secret of the host');
};
const inputOf = async function* (...members: TarMember[]) {
  yield tar(...members);
};
async function bytesOf(containerId: string, path: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stage.berth.containers.copyFrom(containerId, path)) chunks.push(chunk);
  return Buffer.concat(chunks).toString('latin1');
}
/** Only what the caller can be told; anything else is a fault of ours. */
const expected = (error: unknown) => {
  const kinds = ['not_found', 'failed_precondition', 'invalid_argument'];
  assert.ok(kinds.includes(kindOf(error)), String(error));
};

test('CVE-2018-15664, CVE-2019-14271, CVE-2021-41089: a path that the container swaps for links out of its root leads nowhere', async () => {
  for (let i = 0; i < 150; i++) {
    try {
      await stage.berth.containers.copyTo(
        id,
        '/swap',
        inputOf(file('secret', 'planted'), file(`planted-${i}`, 'x')),
      );
    } catch (error) {
      expected(error);
    }
    try {
      assert.ok(!(await bytesOf(id, '/swap/secret')).includes('secret of the host'));
      assert.ok(!(await bytesOf(id, '/swap/.')).includes('secret of the host'));
    } catch (error) {
      expected(error);
    }
  }
  unchanged();
});

test('CVE-2018-15664: what is a file now and a pipe or a device the next moment blocks nobody and is never read as another', async () => {
  for (let i = 0; i < 100; i++)
    try {
      assert.ok((await bytesOf(id, '/kind/x')).length < 10_000);
    } catch (error) {
      expected(error);
    }
});

const climbing: Readonly<Record<string, readonly TarMember[]>> = {
  'a name with ..': [file('../../../../../../../../var/tmp/berth-climbed', 'x')],
  'a link out and a file through it': [symlink('out', '/var/tmp'), file('out/berth-climbed', 'x')],
  'a relative link out and a file through it': [
    symlink('rel', '../../../../../../../var/tmp'),
    file('rel/berth-climbed', 'x'),
  ],
  'a hard link to what is outside': [hardlink('hard', '../../../../../etc/passwd')],
  'a directory over a link out': [symlink('over', '/var/tmp'), dir('over/', { mode: 0o777 })],
  'a link through /proc': [symlink('magic', '/proc/1/root'), file('magic/var/tmp/berth-climbed', 'x')],
  'a link to open files': [symlink('fd', '/proc/self/fd'), file('fd/berth-climbed', 'x')],
};
for (const [name, members] of Object.entries(climbing))
  test(`CVE-2025-11395, CVE-2025-9566: an archive with ${name} stays inside, running or not`, async () => {
    for (const target of [id, idle])
      await stage.berth.containers.copyTo(target, '/', inputOf(...members)).catch(expected);
    assert.ok(!readdirSync('/var/tmp').includes('berth-climbed'));
    unchanged();
  });

test('paths that are none, archives that are none, and containers that are none are refused by their kinds', async () => {
  const kindWhere = async (work: Promise<unknown>) =>
    kindOf(
      await work.then(
        () => 'worked',
        (error: unknown) => error,
      ),
    );
  const good = () => inputOf(file('f', 'x'));
  const { containers } = stage.berth;
  assert.equal(await kindWhere(containers.copyTo(id, '', good())), 'invalid_argument');
  assert.equal(await kindWhere(containers.copyTo(id, 'a\0b', good())), 'invalid_argument');
  assert.equal(await kindWhere(containers.copyTo(id, `/${'x/'.repeat(3000)}`, good())), 'invalid_argument');
  assert.equal(await kindWhere(containers.copyTo(id, `/${'x'.repeat(300)}`, good())), 'invalid_argument');
  assert.equal(await kindWhere(containers.copyTo('none', '/', good())), 'not_found');
  assert.equal(await kindWhere(containers.copyTo('', '/', good())), 'invalid_argument');
  assert.equal(await kindWhere(containers.copyTo(id, '/none', good())), 'not_found');
  assert.equal(await kindWhere(containers.copyTo(id, '/bin/busybox', good())), 'failed_precondition');
  assert.equal(await kindWhere(containers.copyTo(id, '/proc/1', good())), 'failed_precondition');
  const garbage = async function* () {
    yield Buffer.alloc(4096, 'x');
  };
  assert.equal(await kindWhere(containers.copyTo(id, '/', garbage())), 'invalid_argument');
  assert.equal(await kindWhere(containers.copyTo(id, '/', emptyInput())), 'invalid_argument');
  const cut = async function* () {
    yield tar(file('cut', 'y'.repeat(5000))).subarray(0, 1500);
  };
  assert.equal(await kindWhere(containers.copyTo(id, '/', cut())), 'invalid_argument');
  const fails = async function* () {
    yield tar(file('f', 'x')).subarray(0, 700);
    throw new Error('the reader gave up');
  };
  await assert.rejects(containers.copyTo(id, '/', fails()), /the reader gave up/);
  await assert.rejects(bytesOf(id, '/none/none'), (error) => isKind(error, 'not_found'));
});

async function* emptyInput(): AsyncGenerator<Uint8Array> {}

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createCipheriv, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type BerthClient, connect } from '../../src/client/index.ts';
import { withTempMount } from '../../src/sys/temp-mount.ts';
import { TestDaemon } from '../kit/daemon.ts';
import { digestOf, FlakyRegistry, tarOf } from '../kit/flaky-registry.ts';
import { run } from '../kit/run.ts';
import { until } from '../kit/until.ts';

const key = randomBytes(32);
const encrypted = 'application/vnd.oci.image.layer.v1.tar+gzip+encrypted';
const tars = [tarOf({ base: 'in the clear', gone: 'x' }), tarOf({ secret: 'was sealed' })];

let registry: FlakyRegistry;
let daemon: TestDaemon;
let differ: ChildProcess;
let client: BerthClient;

const socket = (): string => join(daemon.dir, 'differ.sock');

before(async () => {
  registry = await FlakyRegistry.start();
  const dir = new TestDaemon().dir;
  daemon = new TestDaemon({
    dir,
    config: `version = 3
[proxy_plugins.sealed]
type = "diff"
address = "${dir}/differ.sock"
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
platform = "linux/amd64"
snapshotter = "overlayfs"
differ = "sealed"
`,
  });
  await daemon.start();
  const program = join(import.meta.dirname, 'decrypting-differ.ts');
  const words = [program, socket(), daemon.address, key.toString('hex')];
  differ = spawn(process.execPath, words, { stdio: ['ignore', 'inherit', 'inherit'] });
  await until(() => existsSync(socket()), 'the differ');
  client = connect({ address: daemon.address });
});
after(async () => {
  client?.close();
  differ?.kill('SIGKILL');
  await daemon?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
});

function seal(tar: Uint8Array, gzip: (tar: Uint8Array) => Buffer = gzipSync) {
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  return registry.addBlob(Buffer.concat([cipher.update(gzip(tar)), cipher.final()]), encrypted);
}

const addSealed = (name: string, diffIds = tars.map(digestOf)) =>
  registry.addImage(name, 'x', tars, {
    config: { rootfs: { type: 'layers', diff_ids: diffIds } },
    manifest: () => ({ layers: tars.map((tar) => seal(tar)) }),
  });
const pull = (name: string, snapshotter = 'overlayfs') =>
  client.images.pull(`${registry.host}/${name}:x`, { snapshotter }).image();
const snapshots = (name: string) => client.snapshotter(name).list(client.context());

test('DF-4: a pull unpacks encrypted layers by the differ that is configured for its snapshotter, on their parents', async () => {
  addSealed('sealed');
  await pull('sealed');
  const top = (await snapshots('overlayfs')).find(({ parent }) => parent !== '')?.name ?? assert.fail();
  const mounts = await client.snapshotter('overlayfs').view(client.context(), 'look', top);
  const shown = await withTempMount(mounts, (path) => run('sh', ['-c', `cd ${path}; cat base secret`]));
  assert.equal(shown.stdout, 'in the clearwas sealed');
  await client.snapshotter('overlayfs').remove(client.context(), 'look');
});

test('what another differ says is held against the image, and nothing is left of what differs', async () => {
  const before = await snapshots('overlayfs');
  addSealed('lies', [digestOf(tars[0] ?? assert.fail()), digestOf(Buffer.from('other'))]);
  await assert.rejects(pull('lies'), /wrong diff id sha256:[0-9a-f]{64} calculated on extraction/);
  assert.deepEqual(await snapshots('overlayfs'), before);
});

test('a layer that the differ does not know, and one for a snapshotter without it, are refused in words', async () => {
  registry.addImage('plain', 'x', [tarOf({ other: 'x' })]);
  await assert.rejects(pull('plain'), /failed to extract layer .*media type .*tar\+gzip.*not implemented/);
  addSealed('sealed');
  await assert.rejects(pull('sealed', 'native'), /media type ".*\+encrypted".*not implemented/);
});

test('a differ that is not there is told at the start', async () => {
  const other = new TestDaemon({
    config: `version = 3
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
differ = "nowhere"
`,
  });
  await using _ = other;
  await assert.rejects(other.start(), /differ nowhere is neither walking nor a proxy plug-in of type diff/);
});

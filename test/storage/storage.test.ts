import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type BerthClient, connect, type Digest, type Finding } from '../../src/client/index.ts';
import { Stage } from '../cli/stage.ts';
import { violationsAtRest } from '../kit/checker.ts';

let stage: Stage;
let client: BerthClient;
before(async () => {
  stage = await Stage.open();
  client = connect({ address: stage.daemon.address });
});
after(async () => {
  client.close();
  await stage[Symbol.asyncDispose]();
});

const du = (path: string): number =>
  Number(execFileSync('du', ['-s', '-B1', path], { encoding: 'utf8' }).split('\t')[0]);
const blobPath = (digest: string): string => join(stage.daemon.root, 'content/blobs/sha256', digest.slice(7));

/** A blob of these bytes that only the label holds. */
async function put(
  text: string,
  labels: Record<string, string> = { 'containerd.io/gc.root': 'x' },
): Promise<Digest> {
  await using writer = await client.content.writer(client.context(), { ref: `put-${text.slice(0, 20)}` });
  await writer.write(Buffer.from(text));
  return await writer.commit({ labels });
}

const snapshots = (): string => join(stage.daemon.root, 'snapshots/overlayfs/snapshots');
const numbers = (): number[] => readdirSync(snapshots()).map(Number);

/** The number of a snapshot that was removed. */
async function numberOfTheGone(): Promise<number> {
  await client.snapshotter().prepare(client.context(), 'gone', '');
  const number = Math.max(...numbers());
  await client.snapshotter().remove(client.context(), 'gone');
  while (numbers().includes(number)) await new Promise((resolve) => setImmediate(resolve));
  return number;
}

async function check(options: { repair?: boolean; quick?: boolean } = {}): Promise<Finding[]> {
  const findings: Finding[] = [];
  for await (const { finding } of client.storage.check(options)) if (finding) findings.push(finding);
  return findings;
}

test('df adds up to what du counts, and says who holds how much alone', async () => {
  await stage.ok('pull', '-q', stage.image);
  await stage.ok('tag', stage.image, 'second');
  const id = await stage.ok(
    'run',
    '-d',
    '--name',
    'writes',
    stage.image,
    'sh',
    '-c',
    'dd if=/dev/zero of=/big bs=1M count=3; sleep 1000',
  );
  await stage.ok('exec', 'writes', 'sync');
  const usage = await client.storage.usage();
  assert.equal(
    usage.parts.reduce((sum, { diskBytes }) => sum + diskBytes, 0),
    usage.diskBytes,
  );
  // The database may be written to between the two.
  assert.ok(
    Math.abs(usage.diskBytes - du(stage.daemon.root)) <= 256 * 1024,
    `${usage.diskBytes} and ${du(stage.daemon.root)}`,
  );
  const find = (kind: string, name: string) =>
    usage.items.find(({ resource }) => resource.kind === kind && resource.id.includes(name));
  const [image, second, container] = [
    find('image', stage.image),
    find('image', 'second'),
    find('container', id),
  ];
  assert.equal(image?.inUse, true);
  assert.equal(image?.uniqueBytes, 0, 'the other name holds it too');
  assert.equal(image?.bytes, second?.bytes);
  assert.ok((container?.uniqueBytes ?? 0) >= 3 << 20);
  assert.ok((container?.bytes ?? 0) > (container?.uniqueBytes ?? 0), 'it stands on the layers of the image');
  const shown = await stage.ok('df', '-v');
  assert.match(shown, /^TYPE +COUNT +IN USE +HOLDS +UNUSED\nimages +2 +2 /);
  assert.match(shown, /\nON DISK +SIZE\n/);
  assert.equal(JSON.parse(await stage.ok('df', '--json')).root, stage.daemon.root);
});

test('why shows every path from a root, of a digest, a snapshot, an image, a container and a lease', async () => {
  const { target } = await client.images.get(stage.image);
  const [subject] = await client.storage.why(target.digest);
  assert.deepEqual(subject?.paths.map((path) => path.map(({ resource }) => resource.kind)).sort(), [
    ['image', 'content'],
    ['image', 'content'],
  ]);
  const { snapshotKey, snapshotter } = (await client.containers.list())[0] ?? assert.fail();
  const { parent } = await client.snapshotter(snapshotter).stat(client.context(), snapshotKey);
  const text = await stage.ok('why', parent.slice(0, 19));
  assert.match(text, /^snapshot overlayfs\/sha256:[0-9a-f]{12} \(/);
  assert.match(
    text,
    /\n {2}container [0-9a-f]{12} {2}\[container\]\n {4}└ snapshot .* \[root file system of the container\]\n {6}└ snapshot .* \[parent of the snapshot\]/,
  );
  assert.match(
    text,
    /\[target of the image\]\n.*\[label containerd.io\/gc.ref.content.config\]\n.*\[label containerd.io\/gc.ref.snapshot.overlayfs\]/,
  );
  assert.match(await stage.ok('why', 'writes'), /^container .*\n {2}container .*\[container\]$/);
  assert.match(await stage.ok('why', 'second'), /image docker.io\/library\/second:latest {2}\[image\]/);
  const lease = await client.leases.create({ id: 'holder' });
  const blob = await put('leased', {});
  await client.leases.addResource(lease.id, { id: blob, type: 'content' });
  assert.match(
    await stage.ok('why', blob),
    /lease holder {2}\[lease\]\n {4}└ content .*\[resource of the lease\]/,
  );
  await client.leases.delete(lease.id, { sync: true });
  const { status, stderr } = await stage.berth(['why', 'nobody']);
  assert.equal(status, 1);
  assert.match(stderr, /nothing in namespace default is called "nobody"/);
});

test('prune shows first, takes what is unused and nothing that is in use', async () => {
  await client.images.tag(stage.image, 'unused:1');
  await client.images.remove('second');
  const other = await put(`{"layers":[]}${' '.repeat(100_000)}`, {});
  const context = client.context();
  await client.images.tag(stage.image, 'unused:2');
  const dry = await stage.ok('prune', '--all', '--dry-run');
  assert.match(dry, /would free \d/);
  // Both names stand on what the container uses, so neither is unused.
  assert.doesNotMatch(dry, /unused/);
  const refused = await stage.berth(['prune', '--all', '--containers']);
  assert.equal(refused.status, 0, 'nothing to remove needs no answer');
  await stage.ok('rm', '-f', 'writes');
  const asked = await stage.berth(['prune', '--all']);
  assert.equal(asked.status, 1);
  assert.match(asked.stdout, /unused:1/);
  assert.match(asked.stderr, /nothing was removed/);
  assert.equal((await client.images.list()).length, 3);
  assert.equal(
    JSON.parse(await stage.ok('prune', '--all', '-f', '--filter', 'label=none', '--json')).items.length,
    0,
  );
  assert.equal(
    JSON.parse(await stage.ok('prune', '--all', '-f', '--filter', 'until=1h', '--json')).items.length,
    0,
  );
  const before = du(stage.daemon.root);
  const pruned = await stage.ok('prune', '--all', '-f');
  assert.match(pruned, /^TYPE +NAME +UNIQUE\n(image .*\n){3}freed \d/);
  assert.deepEqual(await client.images.list(), []);
  assert.ok(du(stage.daemon.root) < before);
  await assert.rejects(client.content.info(context, other), /not found/);
});

test('prune --containers takes those that do not run, with the images that only they used', async () => {
  await stage.ok('pull', '-q', stage.image);
  await stage.ok('run', '--name', 'over', stage.image, 'true');
  await stage.ok('run', '-d', '--name', 'runs', stage.image, 'sleep', '1000');
  const { items } = await client.storage.prune({ containers: true, all: true });
  assert.deepEqual(
    items.map(({ resource }) => resource.kind),
    ['container'],
  );
  assert.equal(await stage.ok('ps', '-a', '--format', '{{.Names}}'), 'runs');
  await stage.ok('rm', '-f', 'runs');
});

test('fsck finds what is lost, damaged or unknown, and repairs it from where it came', async () => {
  assert.deepEqual(await check(), []);
  const layers = (await client.content.list(client.context())).filter(
    ({ labels }) => 'containerd.io/uncompressed' in labels,
  );
  const manifest = (await client.images.get(stage.image)).target.digest;
  const layer = layers[0]?.digest ?? assert.fail();
  const bytes = readFileSync(blobPath(layer));
  writeFileSync(`${blobPath(layer)}.new`, Buffer.from(bytes).fill(0, 100, 200));
  execFileSync('mv', [`${blobPath(layer)}.new`, blobPath(layer)]);
  rmSync(blobPath(manifest));
  writeFileSync(blobPath(`sha256:${'0'.repeat(64)}`), 'orphan');
  writeFileSync(join(stage.daemon.root, 'content/ingest/orphan'), 'orphan');
  mkdirSync(join(snapshots(), String(await numberOfTheGone()), 'fs'), { recursive: true });
  const sourceless = await put('nobody has this');
  rmSync(blobPath(sourceless));
  const found = await check();
  const kinds = [
    'damaged-content',
    'lost-content',
    'lost-content',
    'orphan-content',
    'orphan-ingest',
    'orphan-snapshot',
  ];
  assert.deepEqual(found.map(({ kind }) => kind).sort(), kinds);
  assert.ok(found.every(({ repaired }) => !repaired));
  const repairing = await stage.berth(['fsck', '--repair']);
  assert.equal(repairing.status, 4);
  assert.match(
    repairing.stdout,
    new RegExp(`lost-content: content ${sourceless} .*not repaired: no source of ${sourceless} is known`),
  );
  assert.match(repairing.stdout, /6 found, 5 repaired/);
  await client.content.delete(client.context(), sourceless);
  assert.equal((await stage.berth(['fsck'])).status, 0);
  assert.ok(readFileSync(blobPath(layer)).equals(bytes));
  await stage.ok('run', '--rm', stage.image, 'true');
});

test('fsck --quick does not read content, and a lost snapshot is told', async () => {
  const layer = (await client.content.list(client.context()))[0]?.digest ?? assert.fail();
  const bytes = readFileSync(blobPath(layer));
  execFileSync('sh', ['-c', `printf x | dd of=${blobPath(layer)} bs=1 conv=notrunc status=none`]);
  assert.deepEqual(await check({ quick: true }), []);
  assert.deepEqual(
    (await check()).map(({ kind }) => kind),
    ['damaged-content'],
  );
  writeFileSync(blobPath(layer), bytes);
  await client.snapshotter().prepare(client.context(), 'mine', '', { 'containerd.io/gc.root': 'x' });
  rmSync(join(snapshots(), String(Math.max(...numbers()))), { recursive: true });
  const [lost] = await check({ quick: true });
  assert.deepEqual([lost?.kind, lost?.resource?.id], ['lost-snapshot', 'overlayfs/mine']);
  await client.snapshotter().remove(client.context(), 'mine');
  assert.deepEqual(await violationsAtRest(stage.daemon.root, stage.daemon.state), []);
});

test('fsck reads layer files again and tells one with a changed byte, --quick does not', async () => {
  const file = numbers()
    .map((id) => join(snapshots(), String(id), 'layer.erofs'))
    .find((path) => existsSync(path));
  if (file === undefined) return; // directories have nothing to be held against
  const flip = (byte: string) =>
    execFileSync('sh', ['-c', `printf '${byte}' | dd of=${file} bs=1 seek=5000 conv=notrunc status=none`]);
  const kept = String.fromCharCode(readFileSync(file)[5000] ?? 0);
  flip('~');
  assert.deepEqual(await check({ quick: true }), []);
  const [damaged] = await check();
  assert.match(damaged?.message ?? '', /data is not that of its diff ID/);
  const [repaired] = await check({ repair: true });
  assert.deepEqual([repaired?.kind, repaired?.repaired, repaired?.error], ['lost-snapshot', true, undefined]);
  assert.equal(readFileSync(file).toString('latin1', 5000, 5001), kept);
  assert.deepEqual(await check(), []);
});

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  copyFileSync,
  globSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { type BerthClient, connect, type Finding } from '../../src/client/index.ts';
import { Stage } from '../cli/stage.ts';
import { violationsAtRest } from '../kit/checker.ts';
import { layerMode } from '../kit/layer-mode.ts';
import { output } from '../kit/run.ts';
import { cannot } from '../snapshots/modes.ts';

/** An image of three layers in the registry, the middle one with a directory that only the base describes. */
async function pushLayered(stage: Stage): Promise<string> {
  const { dir } = stage.registry;
  const image = `${join(dir, 'busybox-layout')}:busybox`;
  const insert = async (text: string, to: string) => {
    writeFileSync(join(dir, 'inserted'), text);
    await output('umoci', ['insert', '--image', image, join(dir, 'inserted'), to]);
  };
  await insert('middle', '/etc/middle');
  await insert(randomBytes(100_000).toString('hex'), '/top');
  return stage.registry.push(image, 'layered');
}

describe('fsck --repair makes layer files again', {
  skip: layerMode === 'auto' ? await cannot('erofs') : 'layers are set otherwise',
}, () => {
  let stage: Stage;
  let client: BerthClient;
  let image: string;
  before(async () => {
    stage = await Stage.open();
    client = connect({ address: stage.daemon.address });
    image = await pushLayered(stage);
  });
  after(async () => {
    client.close();
    await stage[Symbol.asyncDispose]();
  });
  beforeEach(async () => void (await stage.ok('pull', '-q', image)));

  const layers = (): string[] =>
    globSync(join(stage.daemon.root, 'snapshots/overlayfs/snapshots/*/layer.erofs')).sort(
      (a, b) => statSync(a).size - statSync(b).size,
    );
  const check = async (repair = false): Promise<Finding[]> => {
    const findings: Finding[] = [];
    for await (const { finding } of client.storage.check({ repair })) if (finding) findings.push(finding);
    return findings;
  };
  const told = (findings: readonly Finding[]) =>
    findings.map(({ kind, repaired, error }) => [kind, repaired, error]);
  const mended = ['lost-snapshot', true, undefined];
  const runs = async () => {
    assert.match(
      await stage.ok('run', '--rm', image, 'sh', '-c', 'cat /etc/middle; ls -d /etc; wc -c /top'),
      /^middle\/etc\s+200000/,
    );
    assert.deepEqual(await check(), []);
    assert.deepEqual(await violationsAtRest(stage.daemon.root, stage.daemon.state), []);
  };

  test('one that is gone, one cut short and one of other bytes, base first, the same to the byte', async () => {
    const files = layers();
    const bytes = files.map((path) => readFileSync(path));
    const [gone = '', short = '', changed = ''] = files;
    rmSync(gone);
    truncateSync(short, 8000);
    renameSync(changed, `${changed}.old`);
    copyFileSync(`${changed}.old`, changed);
    await output('dd', ['if=/dev/zero', `of=${changed}`, 'bs=1', 'seek=9000', 'count=99', 'conv=notrunc']);
    rmSync(`${changed}.old`);
    assert.deepEqual(told(await check(true)), [mended, mended, mended]);
    assert.deepEqual(
      files.map((path) => readFileSync(path).equals(bytes[files.indexOf(path)] ?? Buffer.alloc(0))),
      [true, true, true],
    );
    await runs();
  });

  test('all of them with their directories and blobs, from the registry', async () => {
    for (const path of layers()) rmSync(dirname(path), { recursive: true });
    for (const { digest, labels } of await client.content.list(client.context()))
      if ('containerd.io/uncompressed' in labels)
        rmSync(join(stage.daemon.root, 'content/blobs/sha256', digest.slice(7)));
    const fetched = ['lost-content', true, undefined];
    assert.deepEqual(told(await check(true)), [fetched, fetched, fetched, mended, mended, mended]);
    await runs();
  });

  test('while a container runs, which goes on, and is started again on what was mended', async () => {
    await stage.ok('run', '-d', '--name', 'runs', image, 'sleep', '1000');
    const [, , base = ''] = layers();
    rmSync(base);
    assert.deepEqual(told(await check(true)), [mended]);
    assert.match(await stage.ok('exec', 'runs', 'cat', '/etc/middle'), /middle/);
    assert.match(await stage.ok('exec', 'runs', 'ls', '/bin'), /busybox/);
    await stage.ok('restart', '-t', '0', 'runs');
    assert.match(await stage.ok('exec', 'runs', 'cat', '/etc/middle'), /middle/);
    await stage.ok('rm', '-f', 'runs');
    await runs();
  });

  test('one that two namespaces share is one file again', async () => {
    await stage.ok('-n', 'other', 'pull', '-q', image);
    const inodes = () => new Set(layers().map((path) => statSync(path).ino)).size;
    assert.deepEqual([layers().length, inodes()], [6, 3]);
    const [first = ''] = layers();
    truncateSync(first, 8000);
    assert.deepEqual(told(await check(true)), [mended, mended]);
    assert.deepEqual([layers().length, inodes()], [6, 3]);
    await stage.ok('-n', 'other', 'rmi', image);
    await runs();
  });

  test('but not one whose blob is gone for good, and says so', async () => {
    for (const { digest, labels } of await client.content.list(client.context()))
      if ('containerd.io/uncompressed' in labels) await client.content.delete(client.context(), digest);
    const [file = ''] = layers();
    renameSync(file, `${file}.kept`);
    const lost = (await check(true)).filter(({ kind }) => kind === 'lost-snapshot');
    assert.equal(lost.length, 1);
    assert.match(lost[0]?.error ?? '', /not found/);
    renameSync(`${file}.kept`, file);
    await stage.ok('pull', '-q', image);
    await runs();
  });
});

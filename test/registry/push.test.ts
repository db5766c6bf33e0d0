import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { mediaTypes } from '../../src/oci/media-types.ts';
import { type CopyRequest, copy } from '../../src/transfer/copy.ts';
import type { TransferProgress } from '../../src/transfer/progress.ts';
import { type PushRequest, push } from '../../src/transfer/push.ts';
import { always, digestOf, FlakyRegistry, tarOf } from '../kit/flaky-registry.ts';
import { TestRegistry } from '../kit/registry.ts';
import { output } from '../kit/run.ts';
import { openStack, pullQuietly, type Stack } from './stack.ts';

const login = { username: 'otto', password: 'pa:ss wörd' };
const credentials = async () => ({ kind: 'basic', ...login }) as const;

async function run(steps: AsyncGenerator<TransferProgress, Descriptor, void>) {
  const seen: TransferProgress[] = [];
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return { seen, root: value };
    seen.push(value);
  }
}
const pushed = ({ parts, ctx }: Stack, request: PushRequest) => run(push(parts, ctx, request));
const copied = ({ parts, ctx }: Stack, request: CopyRequest) => run(copy(parts, ctx, request));
const phasesOf = (seen: readonly TransferProgress[], kind: string) =>
  seen.filter(({ name }) => name.startsWith(kind)).map(({ phase }) => phase);

describe('pushing to a real registry', () => {
  let from: TestRegistry;
  let to: TestRegistry;
  let reference: string;
  before(async () => {
    [from, to] = await Promise.all([TestRegistry.start(), TestRegistry.start({ login })]);
    reference = await from.pushBusybox();
  });
  after(async () => {
    for (const one of [from, to]) await one[Symbol.asyncDispose]();
  });

  test('an image goes to another registry and back, the same digest, with progress; a second push sends nothing', async () => {
    await using stack = await openStack();
    const image = await pullQuietly(stack.parts, stack.ctx, { reference });
    const there = `${to.host}/team/box:v1`;
    const { seen, root } = await pushed(stack, { image: reference, reference: there, credentials });
    assert.equal(root.digest, image.target.digest);
    assert.deepEqual(new Set(phasesOf(seen, 'layer')), new Set(['waiting', 'uploading', 'complete']));
    assert.deepEqual([seen[0]?.phase, seen.at(-1)?.phase], ['pushing', 'pushed']);
    await using other = await openStack();
    const back = await pullQuietly(other.parts, other.ctx, { reference: there, credentials });
    assert.equal(back.target.digest, image.target.digest);
    const again = await pushed(stack, { image: reference, reference: there, credentials });
    assert.deepEqual(phasesOf(again.seen, 'layer'), ['waiting', 'exists']);
    assert.equal((await stack.metadata.leases.list(stack.ctx)).length, 0);
  });

  test('a further repository of the same registry gets the layers by mount', async () => {
    await using stack = await openStack();
    await pullQuietly(stack.parts, stack.ctx, { reference });
    const { seen } = await pushed(stack, { image: reference, reference: `${from.host}/another/name:1` });
    assert.deepEqual(phasesOf(seen, 'layer'), ['waiting', 'mounted']);
    await output('skopeo', ['inspect', '--tls-verify=false', `docker://${from.host}/another/name:1`]);
  });

  test('without the password nothing is pushed, in clear words', async () => {
    await using stack = await openStack();
    await pullQuietly(stack.parts, stack.ctx, { reference });
    const push = (more: object) => pushed(stack, { image: reference, reference: `${to.host}/x:1`, ...more });
    await assert.rejects(push({}), { kind: 'unauthenticated', message: /a login is required/ });
    const wrong = async () => ({ kind: 'basic', username: login.username, password: 'no' }) as const;
    await assert.rejects(push({ credentials: wrong }), { kind: 'unauthenticated', message: /were refused/ });
    await assert.rejects(pushed(stack, { image: 'nope', reference: `${to.host}/x:1`, credentials }), {
      kind: 'not_found',
    });
  });

  test('an image is copied between registries without being stored, and within one by mount', async () => {
    await using stack = await openStack();
    const { seen, root } = await copied(stack, {
      from: { reference },
      to: { reference: `${to.host}/copied:1`, credentials },
    });
    assert.deepEqual(new Set(phasesOf(seen, 'layer')), new Set(['waiting', 'uploading', 'complete']));
    assert.deepEqual(await stack.metadata.content.list(stack.ctx), []);
    const within = await copied(stack, {
      from: { reference: `${to.host}/copied:1`, credentials },
      to: { reference: `${to.host}/within:2`, credentials },
    });
    assert.equal(within.root.digest, root.digest);
    assert.deepEqual(phasesOf(within.seen, 'layer'), ['waiting', 'mounted']);
  });
});

describe('images of many platforms', () => {
  const names = ['amd64', 'arm64'];

  /** An index of one image a platform. */
  function addIndex(registry: FlakyRegistry): Descriptor {
    const manifests = names.map((architecture) => ({
      ...registry.addImage('multi', architecture, [tarOf({ architecture })], { config: { architecture } }),
      platform: { os: 'linux', architecture },
    }));
    const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
    return registry.addManifest('multi', 'latest', index, mediaTypes.ociIndex);
  }
  const namesAt = (registry: FlakyRegistry) =>
    [...registry.manifests.keys()].filter((key) => !key.includes('sha256')).sort();

  test('all of them go with their index when all are here; what refers to what comes last', async () => {
    await using from = await FlakyRegistry.start();
    await using to = await FlakyRegistry.start();
    const index = addIndex(from);
    await using stack = await openStack();
    const reference = `${from.host}/multi:latest`;
    await pullQuietly(stack.parts, stack.ctx, { reference, platforms: 'all' });
    const { root } = await pushed(stack, { image: reference, reference: `${to.host}/there:1` });
    assert.equal(root.digest, index.digest);
    assert.deepEqual(namesAt(to), ['there/1']);
    const puts = to.paths().filter((path) => path.startsWith('PUT') && path.includes('/manifests/'));
    assert.equal(puts.length, 3);
    assert.ok(puts.at(-1)?.endsWith('/manifests/1'));
  });

  test('the one that is here stands in for an index with holes, unless the holes are filled over there', async () => {
    await using from = await FlakyRegistry.start();
    await using to = await FlakyRegistry.start();
    const index = addIndex(from);
    await using stack = await openStack();
    const reference = `${from.host}/multi:latest`;
    const platforms = [{ os: 'linux', architecture: 'arm64' }];
    await pullQuietly(stack.parts, stack.ctx, { reference, platforms });
    const one = await pushed(stack, { image: reference, reference: `${to.host}/there:1` });
    assert.equal(one.root.digest, digestOf(from.manifests.get('multi/arm64')?.bytes ?? assert.fail()));
    const back = await pushed(stack, { image: reference, reference: `${from.host}/multi:again` });
    assert.equal(back.root.digest, index.digest);
    const absent = {
      image: reference,
      reference: `${to.host}/there:2`,
      platforms: [{ os: 'linux', architecture: 's390x' }],
    };
    await assert.rejects(pushed(stack, absent), {
      kind: 'not_found',
      message: /available: linux\/amd64, linux\/arm64/,
    });
  });

  test('a chosen platform of a whole image is pushed alone', async () => {
    await using from = await FlakyRegistry.start();
    await using to = await FlakyRegistry.start();
    addIndex(from);
    await using stack = await openStack();
    const reference = `${from.host}/multi:latest`;
    await pullQuietly(stack.parts, stack.ctx, { reference, platforms: 'all' });
    const platforms = [{ os: 'linux', architecture: 'amd64' }];
    const { root } = await pushed(stack, { image: reference, reference: `${to.host}/there:1`, platforms });
    assert.equal(root.mediaType, mediaTypes.ociManifest);
    assert.equal(to.blobs.size, 2);
  });

  test('a copy of all platforms takes them all', async () => {
    await using from = await FlakyRegistry.start();
    await using to = await FlakyRegistry.start();
    const index = addIndex(from);
    await using stack = await openStack();
    const { root } = await copied(stack, {
      from: { reference: `${from.host}/multi:latest` },
      to: { reference: `${to.host}/there:1` },
    });
    assert.equal(root.digest, index.digest);
    assert.deepEqual(to.blobs, from.blobs);
  });

  test('a push that is left ends at once, and no tag names something incomplete', async () => {
    await using from = await FlakyRegistry.start();
    await using to = await FlakyRegistry.start();
    addIndex(from);
    await using stack = await openStack();
    const reference = `${from.host}/multi:latest`;
    await pullQuietly(stack.parts, stack.ctx, { reference, platforms: 'all' });
    to.scripts.push(always(/PUT .*uploads/, () => {})); // never answered
    for await (const { phase } of push(stack.parts, stack.ctx, {
      image: reference,
      reference: `${to.host}/there:1`,
    }))
      if (phase === 'uploading') break;
    assert.deepEqual(namesAt(to), []);
    assert.equal((await stack.metadata.leases.list(stack.ctx)).length, 0);
  });
});

test('what a registry warns of is told once', async () => {
  await using registry = await FlakyRegistry.start();
  registry.addImage('a', 'latest', [tarOf({ a: 'a' })]);
  registry.scripts.push((_, response) => {
    response.setHeader('warning', '299 - "This image \\"a\\" is deprecated", 110 - "stale"');
    return false;
  });
  await using stack = await openStack();
  const { pull } = await import('../../src/transfer/pull.ts');
  const told: string[] = [];
  for await (const { phase, name } of pull(stack.parts, stack.ctx, {
    reference: `${registry.host}/a:latest`,
  }))
    if (phase === 'warning') told.push(name);
  assert.deepEqual(told, [`${registry.host}: This image "a" is deprecated`]);
});

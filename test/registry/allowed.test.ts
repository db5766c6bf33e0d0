import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { always, FlakyRegistry, type Script, sendError, tarOf } from '../kit/flaky-registry.ts';
import { inventory, openStack, pullQuietly, type Stack } from './stack.ts';

let registry: FlakyRegistry;
let stack: Stack;
beforeEach(async () => {
  registry = await FlakyRegistry.start();
  stack = await openStack();
});
afterEach(async () => {
  await stack[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});
const layers = [tarOf({ secret: 'x' }), tarOf({ more: 'y' })];
const pull = (reference: string, namespace = stack.ctx.namespace) =>
  pullQuietly(stack.parts, { ...stack.ctx, namespace }, { reference: `${registry.host}/${reference}` });
const heads = () => registry.paths().filter((path) => path.startsWith('HEAD') && path.includes('/blobs/'));
const repository = (name: string, answer: Parameters<typeof always>[1]): Script =>
  always(new RegExp(`HEAD /v2/${name}/blobs/`), answer);

describe("CVE-2014-8178: content of one repository is not another's because it is here", () => {
  test('a manifest by digest is asked for where it is said to be', async () => {
    const { digest } = registry.addImage('private/a', 'latest', layers);
    await pull(`private/a@${digest}`);
    await assert.rejects(pull(`public/b@${digest}`), { kind: 'not_found' });
    assert.deepEqual((await inventory(stack)).images, [`${registry.host}/private/a@${digest}`]);
  });

  for (const [status, kind] of [
    [404, 'permission_denied'],
    [403, 'permission_denied'],
    [401, 'unauthenticated'],
  ] as const)
    test(`a manifest that names blobs its repository answers ${status} for is refused`, async () => {
      registry.addImage('private/a', 'latest', layers);
      await pull('private/a:latest');
      registry.addImage('public/b', 'latest', layers);
      registry.scripts.push(repository('public/b', (_, response) => sendError(response, status, 'NO', 'no')));
      await assert.rejects(pull('public/b:latest'), { kind });
      const { images, leases } = await inventory(stack);
      assert.deepEqual([images, leases], [[`${registry.host}/private/a:latest`], 0]);
    });

  test('in another namespace, too', async () => {
    registry.addImage('private/a', 'latest', layers);
    await pull('private/a:latest');
    registry.scripts.push(repository('private/a', (_, response) => sendError(response, 403, 'DENIED', 'no')));
    await assert.rejects(pull('private/a:latest', 'other'), { kind: 'permission_denied' });
  });

  test('twin: what the other repository has, too, costs one question each and is not fetched again', async () => {
    registry.addImage('library/a', 'latest', layers);
    registry.addImage('library/b', 'latest', layers);
    await pull('library/a:latest');
    await pull('library/b:latest');
    assert.equal(heads().length, 3);
    assert.ok(!registry.paths().some((path) => path.startsWith('GET /v2/library/b/blobs/')));
    await pull('library/b:latest');
    assert.equal(heads().length, 3, 'and only once');
  });

  test('twin: a registry that knows no HEAD of blobs is asked for the first byte', async () => {
    registry.addImage('library/a', 'latest', layers);
    registry.addImage('library/b', 'latest', layers);
    await pull('library/a:latest');
    registry.scripts.push(always(/HEAD .*blobs/, (_, response) => response.writeHead(405).end()));
    await pull('library/b:latest');
    assert.ok(registry.seen.some(({ headers }) => headers.range === 'bytes=0-0'));
  });
});

import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { copy } from '../../src/transfer/copy.ts';
import { pull } from '../../src/transfer/pull.ts';
import { push } from '../../src/transfer/push.ts';
import { blobPart, FlakyRegistry, firstTimes, sendError, tarOf } from '../kit/flaky-registry.ts';
import { inventory, openStack, type Stack } from './stack.ts';

type Fault = (request: IncomingMessage, response: ServerResponse) => void;
const answer =
  (status: number): Fault =>
  (_, response) =>
    sendError(response, status, 'FAULT', 'planted');

/** What another try may not meet again. */
const passing: Record<string, Fault> = {
  408: answer(408),
  429: answer(429),
  500: answer(500),
  502: answer(502),
  503: answer(503),
  504: answer(504),
  'a reset connection': (request) => void request.socket.destroy(),
  'half an answer': (request, response) => {
    const { bytes } = partOf(request);
    if (request.method !== 'GET') return void request.socket.destroy();
    response
      .writeHead(200, { 'content-length': bytes.byteLength })
      .write(bytes.subarray(0, bytes.byteLength / 2));
    setTimeout(() => request.socket.destroy(), 10);
  },
};
/** What stays, and the kinds of error it may end with. */
const lasting: Record<string, [Fault, readonly string[]]> = {
  401: [answer(401), ['unauthenticated']],
  403: [answer(403), ['permission_denied']],
  404: [answer(404), ['not_found']],
  400: [answer(400), ['invalid_argument']],
};

let registry: FlakyRegistry;
let stack: Stack;
let image: Descriptor;
function partOf(request: IncomingMessage) {
  const name = request.url?.split('/').at(-1) ?? '';
  const manifest = registry.manifests.get(`a/b/${name}`)?.bytes;
  return blobPart(request, registry.blobs.get(name) ?? manifest ?? Buffer.alloc(9));
}
const layer = tarOf({ hello: 'world'.repeat(5_000) });
before(async () => {
  stack = await openStack();
});
after(() => stack[Symbol.asyncDispose]());
beforeEach(async () => {
  registry = await FlakyRegistry.start();
  const { digest, ...rest } = registry.addImage('a/b', 'child', [layer]);
  const manifests = [{ ...rest, digest, platform: { os: 'linux', architecture: 'amd64' } }];
  const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests };
  image = registry.addManifest('a/b', 'latest', index, index.mediaType);
});
afterEach(async () => {
  for (const { name } of await stack.metadata.images.list(stack.ctx))
    await stack.metadata.images.delete(stack.ctx, name);
  for (const { ref } of await stack.metadata.content.listStatuses(stack.ctx))
    await stack.metadata.content.abort(stack.ctx, ref);
  await stack.metadata.gc.collectNow();
  await registry[Symbol.asyncDispose]();
});

async function finish(steps: AsyncGenerator<unknown, unknown, void>): Promise<unknown> {
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return value;
  }
}
const reference = () => `${registry.host}/a/b:latest`;
const pulled = () => finish(pull(stack.parts, stack.ctx, { reference: reference(), retry: quick }));
const quick = { attempts: 4, baseMs: 1, capMs: 4, retryAfterCapMs: 1_000 };

/** Steps of a pull by what they ask for: the n-th such request is the one. */
const pullSteps: Record<string, [RegExp, number]> = {
  'resolving the tag': [/manifests\/latest/, 0],
  'reading the index': [/GET .*manifests\/sha256/, 0],
  'reading the manifest': [/GET .*manifests\/sha256/, 1],
  'fetching the config': [/GET .*blobs/, 0],
  'fetching the layer': [/GET .*blobs/, 1],
};

/** Lets `skip` matching requests through, spoils so many after them. */
function plant([pattern, skip]: [RegExp, number], times: number, fault: Fault): void {
  let left = skip;
  const script = firstTimes(times, pattern, fault);
  registry.scripts.push((request, response) => {
    if (left > 0 && pattern.test(`${request.method} ${request.url}`)) {
      left--;
      return false;
    }
    return script(request, response);
  });
}

describe('pulls', () => {
  for (const [step, where] of Object.entries(pullSteps)) {
    for (const [what, fault] of Object.entries(passing))
      test(`${what} once while ${step} passes`, async () => {
        plant(where, 1, fault);
        assert.equal(((await pulled()) as { target: Descriptor }).target.digest, image.digest);
      });
    for (const [what, [fault, kinds]] of Object.entries(lasting))
      test(`${what} while ${step} fails, and nothing is left; the next pull works`, async () => {
        plant(where, Number.POSITIVE_INFINITY, fault);
        await assert.rejects(pulled(), ({ kind }: { kind?: string }) => kinds.includes(kind ?? ''));
        const { images, leases, snapshots, ingests } = await inventory(stack);
        assert.deepEqual([images, leases, snapshots, ingests], [[], 0, [], []]);
        registry.scripts.length = 0;
        await pulled();
      });
  }

  const lies: Record<string, Fault> = {
    'a length that is too long': (request, response) => {
      const { bytes } = partOf(request);
      response
        .writeHead(200, { 'content-length': bytes.byteLength + 7 })
        .end(Buffer.concat([bytes, Buffer.alloc(7)]));
    },
    'a length that is too short': (request, response) => {
      const { bytes } = partOf(request);
      response.writeHead(200, { 'content-length': bytes.byteLength - 7 }).end(bytes.subarray(7));
    },
    'other bytes of the right length': (request, response) => {
      const { bytes } = partOf(request);
      response.writeHead(200, { 'content-length': bytes.byteLength }).end(Buffer.alloc(bytes.byteLength, 1));
    },
  };
  for (const [step, where] of Object.entries(pullSteps).slice(1))
    for (const [what, lie] of Object.entries(lies))
      test(`${what} while ${step} is found out, and nothing is left`, async () => {
        plant(where, Number.POSITIVE_INFINITY, lie);
        await assert.rejects(pulled(), { kind: 'failed_precondition' });
        const { images, leases, ingests } = await inventory(stack);
        assert.deepEqual([images, leases, ingests], [[], 0, []]);
        registry.scripts.length = 0;
        await pulled();
      });
});

describe('pushes and copies', () => {
  const steps: Record<string, [RegExp, number]> = {
    'asking for a blob': [/HEAD .*blobs/, 0],
    'beginning an upload': [/POST .*uploads/, 0],
    'sending a blob': [/PUT .*uploads/, 1],
    'asking for a manifest': [/HEAD .*manifests\/sha256/, 0],
    'putting a manifest': [/PUT .*manifests\/sha256/, 0],
    'putting the tag': [/PUT .*manifests\/v1/, 0],
  };
  /** Pushes or copies to a registry of its own, whose requests go through the planted scripts. */
  async function delivered(how: 'push' | 'copy', spoil: () => void): Promise<Descriptor> {
    const from = registry;
    const source = reference();
    if (how === 'push') await pulled();
    const to = await FlakyRegistry.start();
    const target = { reference: `${to.host}/there:v1`, retry: quick };
    try {
      registry = to;
      spoil();
      const steps =
        how === 'push'
          ? push(stack.parts, stack.ctx, { image: source, ...target })
          : copy(stack.parts, stack.ctx, { from: { reference: source }, to: target });
      return (await finish(steps)) as Descriptor;
    } finally {
      const named = to.manifests.has('there/v1');
      registry = from;
      const whole = [...from.blobs.keys()].every((digest) => to.blobs.has(digest));
      await to[Symbol.asyncDispose]();
      assert.ok(!named || whole, 'a tag names something incomplete');
    }
  }
  for (const how of ['push', 'copy'] as const)
    for (const [step, where] of Object.entries(steps)) {
      test(`a ${how} passes every passing fault while ${step}`, async () => {
        for (const [what, fault] of Object.entries(passing)) {
          const root = await delivered(how, () => plant(where, 1, fault));
          assert.equal(root.digest, image.digest, what);
        }
      });
      test(`a ${how} ends with the lasting fault while ${step}, and leaves no tag and no lease`, async () => {
        for (const [what, [fault, kinds]] of Object.entries(lasting)) {
          if (what === '404' && step.startsWith('asking')) continue; // which is no fault
          const ended = delivered(how, () => plant(where, Number.POSITIVE_INFINITY, fault));
          await assert.rejects(ended, ({ kind }: { kind?: string }) => kinds.includes(kind ?? ''), what);
        }
        assert.equal((await inventory(stack)).leases, 0);
      });
    }
});

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import http2 from 'node:http2';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import type { Context } from '../async/context.ts';
import { isKind, notFound, SysError } from '../errors/error.ts';
import {
  Content,
  ReadContentResponseSchema,
  type WriteContentRequest,
} from '../gen/containerd/services/content/v1/content_pb.ts';
import { Leases } from '../gen/containerd/services/leases/v1/leases_pb.ts';
import { Version } from '../gen/containerd/services/version/v1/version_pb.ts';
import { EncodedMessage } from './encoded-message.ts';
import type { CallInfo } from './grpc-call.ts';
import { type Channel, createClient, openChannel, type ServiceClient } from './grpc-client.ts';
import { GrpcServer } from './grpc-server.ts';
import { bindService } from './service.ts';
import { listenUnix } from './unix-listener.ts';

const mib = 1024 * 1024;

/** What the service saw, for the tests to look at. */
const seen: { contexts: Context[]; ended: string[]; sent: number; received: number; calls: string[] } = {
  contexts: [],
  ended: [],
  sent: 0,
  received: 0,
  calls: [],
};

const content = bindService(Content, {
  async info(request, ctx) {
    seen.contexts.push(ctx);
    if (request.digest === 'missing') throw notFound('blob "missing"');
    if (request.digest === 'odd') throw new Error('half \ud800 of a pair, 100% 😀');
    if (request.digest === 'sys') throw new SysError('open', 'EIO', 5, '/x');
    if (request.digest === 'huge') return { info: { digest: 'x'.repeat(17 * mib) } };
    if (request.digest === 'wait') await sleep(10_000, undefined, { signal: ctx.signal });
    return { info: { digest: request.digest, size: 7n } };
  },
  async *read(request, ctx) {
    try {
      for (let i = 0; i < Number(request.size); i++) {
        seen.sent++;
        if (request.digest === 'pages') yield pageOf(BigInt(i));
        else yield { offset: BigInt(i), data: new Uint8Array(request.digest === 'small' ? 1 : mib) };
      }
      if (request.digest === 'fail') throw notFound('blob');
    } finally {
      seen.ended.push(`read ${ctx.signal.aborted}`);
    }
  },
  async *write(requests, ctx) {
    try {
      let total = 0n;
      for await (const request of requests) {
        seen.received++;
        if (request.ref === 'slow') await sleep(5);
        if (request.ref === 'stop') break;
        total += BigInt(request.data.length);
      }
      yield { total };
    } finally {
      seen.ended.push(`write ${ctx.signal.aborted}`);
    }
  },
});

/** Two answers, the second of them encoded. */
function pageOf(offset: bigint) {
  const data = new Uint8Array(5000);
  const bytes = toBinary(
    ReadContentResponseSchema,
    create(ReadContentResponseSchema, { offset: offset + 1000n, data }),
  );
  return [{ offset, data }, new EncodedMessage([bytes.subarray(0, 7), bytes.subarray(7)])];
}

const version = bindService(Version, {
  async version() {
    return { version: '2.3.0', revision: 'r' };
  },
});

describe('gRPC server and client over a unix socket', () => {
  let dir: string;
  let server: GrpcServer;
  let listener: AsyncDisposable;
  let channel: Channel;
  let client: ServiceClient<typeof Content>;

  before(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'berth-grpc-'));
    server = new GrpcServer([content, version], {
      peerOf: () => ({ uid: 12, gid: 13, pid: 14 }),
      before: (call: CallInfo) => void seen.calls.push(`${call.service}/${call.method}`),
    });
    listener = await listenUnix(path.join(dir, 's'), (socket) => server.accept(socket));
    channel = openChannel(path.join(dir, 's'));
    client = createClient(Content, channel);
  });

  after(async () => {
    channel[Symbol.dispose]();
    await listener[Symbol.asyncDispose]();
    await server.close(100);
    await rm(dir, { recursive: true });
  });

  it('answers a unary call', async () => {
    const reply = await client.info({ digest: 'sha256:a' });
    assert.equal(reply.info?.digest, 'sha256:a');
    assert.equal(reply.info?.size, 7n);
  });

  it('hands namespace, lease and caller to the service', async () => {
    await client.info({ digest: 'a' }, { namespace: 'k8s.io', lease: 'l1' });
    const ctx = seen.contexts.at(-1);
    assert.equal(ctx?.namespace, 'k8s.io');
    assert.equal(ctx?.lease, 'l1');
    assert.deepEqual(ctx?.caller, { kind: 'grpc', uid: 12, pid: 14 });
    await client.info({ digest: 'a' });
    assert.equal(seen.contexts.at(-1)?.namespace, '');
    assert.equal(seen.contexts.at(-1)?.lease, undefined);
  });

  it('takes the first of several values of a header', async () => {
    const session = http2.connect('http://localhost', {
      createConnection: () => net.connect(path.join(dir, 's')),
    });
    const stream = session.request({
      ':method': 'POST',
      ':path': '/containerd.services.content.v1.Content/Info',
      'content-type': 'application/grpc',
      te: 'trailers',
      'containerd-namespace': ['latest', 'earlier'],
      'containerd-lease': ['l2', 'l1'],
    });
    const emptyRequest = Buffer.alloc(5);
    stream.end(emptyRequest);
    await once(stream.resume(), 'end');
    session.close();
    assert.deepEqual([seen.contexts.at(-1)?.namespace, seen.contexts.at(-1)?.lease], ['latest', 'l2']);
  });

  it('refuses namespaces that are no identifiers', async () => {
    for (const namespace of ['..', 'a/b', '-a', 'a'.repeat(77), 'a..b', 'a b'])
      await assert.rejects(client.info({ digest: 'a' }, { namespace }), (e) => isKind(e, 'invalid_argument'));
    await client.info({ digest: 'a' }, { namespace: 'a'.repeat(76) });
  });

  it('carries the kind and the words of an error', async () => {
    await assert.rejects(client.info({ digest: 'missing' }), (e) => {
      return isKind(e, 'not_found') && (e as Error).message === 'blob "missing": not found';
    });
  });

  it('carries errors nobody classified, and messages that are not well-formed', async () => {
    await assert.rejects(client.info({ digest: 'odd' }), /half \ufffd of a pair, 100% 😀$/);
    await assert.rejects(client.info({ digest: 'sys' }), (e) => {
      return isKind(e, 'unknown') && (e as Error).message === 'open /x: EIO';
    });
  });

  it('names unknown methods and services', async () => {
    await assert.rejects(client.status({ ref: 'a' }), (e) => {
      assert.match(String(e), /unknown method Status for service containerd.services.content.v1.Content/);
      assert.match(String(e), /\/containerd.services.content.v1.Content\/Status/);
      return isKind(e, 'not_implemented');
    });
    await assert.rejects(createClient(Leases, channel).list({}), (e) => {
      assert.match(String(e), /unknown service containerd.services.leases.v1.Leases/);
      return isKind(e, 'not_implemented');
    });
    await assert.rejects(async () => {
      for await (const _ of client.list({})) assert.fail();
    }, /unknown method List for service/);
  });

  it('refuses messages of more than 16 MiB each way with resource_exhausted', async () => {
    await assert.rejects(client.info({ digest: 'huge' }), (e) => isKind(e, 'resource_exhausted'));
    await assert.rejects(client.info({ digest: 'x'.repeat(17 * mib) }), (e) =>
      isKind(e, 'resource_exhausted'),
    );
    await client.info({ digest: 'x'.repeat(15 * mib) });
  });

  it('streams answers no faster than they are read', async () => {
    seen.sent = 0;
    const stream = client.read({ digest: 'a', size: 200n })[Symbol.asyncIterator]();
    await stream.next();
    await sleep(150);
    const ahead = seen.sent;
    assert.ok(ahead < 100, `sent ${ahead} of 200`);
    let count = 1;
    while (!(await stream.next()).done) count++;
    assert.equal(count, 200);
  });

  it('streams several answers at a time, encoded already or not', async () => {
    const answers = await Array.fromAsync(client.read({ digest: 'pages', size: 70n }));
    const expected = Array.from({ length: 70 }, (_, i) => [BigInt(i), BigInt(i) + 1000n]).flat();
    assert.deepEqual(
      answers.map(({ offset }) => offset),
      expected,
    );
    assert.ok(answers.every(({ data }) => data.length === 5000));
  });

  it('ends a stream with the error after what was sent before it', async () => {
    let count = 0;
    await assert.rejects(
      async () => {
        for await (const _ of client.read({ digest: 'fail', size: 3n })) count++;
      },
      (e) => isKind(e, 'not_found'),
    );
    assert.equal(count, 3);
  });

  it('tells the service that the client left a stream early', async () => {
    seen.ended.length = 0;
    for await (const _ of client.read({ digest: 'a', size: 100000n })) break;
    await eventually(() => seen.ended.includes('read true'));
  });

  it('lets a client leave thousands of streams early over one connection', async () => {
    for (let n = 0; n < 1500; n++) for await (const _ of client.read({ digest: 'small', size: 100n })) break;
    assert.equal((await client.info({ digest: 'a' })).info?.digest, 'a');
  });

  it('takes requests no faster than the service does', async () => {
    seen.received = 0;
    let produced = 0;
    const requests = (async function* () {
      for (; produced < 100; produced++) yield { ref: 'slow', data: new Uint8Array(mib) };
    })();
    const run = drain(client.write(requests));
    await sleep(200);
    assert.ok(produced < 80, `produced ${produced}`);
    assert.deepEqual((await run).at(-1)?.total, BigInt(100 * mib));
  });

  it('lets a service answer before the requests end', async () => {
    const requests = (async function* () {
      yield { ref: 'stop' };
      await sleep(50);
      yield { ref: 'late' };
    })();
    assert.equal((await drain(client.write(requests))).length, 1);
  });

  it('fails a bidi call with the error of its own requests', async () => {
    const requests = (async function* (): AsyncGenerator<Partial<WriteContentRequest>> {
      yield { ref: 'a' };
      throw new Error('disk gone');
    })();
    await assert.rejects(drain(client.write(requests as never)), /disk gone/);
  });

  it('cancels with the reason of the signal, and the service sees it', async () => {
    const controller = new AbortController();
    const call = client.info({ digest: 'wait' }, { signal: controller.signal });
    setTimeout(() => controller.abort(new Error('enough')), 30);
    await assert.rejects(call, /enough/);
    await eventually(() => seen.contexts.at(-1)?.signal.aborted === true);
  });

  it('ends a call at its deadline on both sides', async () => {
    await assert.rejects(client.info({ digest: 'wait' }, { deadlineMs: 50 }), (e) => isKind(e, 'aborted'));
    await eventually(() => seen.contexts.at(-1)?.signal.aborted === true);
  });

  it('takes deadlines of more than 24 days', async () => {
    await client.info({ digest: 'a' }, { deadlineMs: 30 * 86_400_000 });
  });

  it('shows each call to the hooks', () => {
    assert.ok(seen.calls.includes('containerd.services.content.v1.Content/Info'));
  });

  it('cuts what still runs when its time to close is over', async () => {
    const own = new GrpcServer([content]);
    await using _ = await listenUnix(path.join(dir, 'c'), (socket) => own.accept(socket));
    using local = openChannel(path.join(dir, 'c'));
    const before = seen.contexts.length;
    const call = createClient(Content, local).info({ digest: 'wait' });
    await eventually(() => seen.contexts.length > before);
    const refused = assert.rejects(call, (e) => isKind(e, 'unavailable') || isKind(e, 'aborted'));
    await own.close(50);
    await own.close();
    await refused;
    await eventually(() => own.connections === 0);
  });

  it('cancels what runs when its channel is closed', async () => {
    const own = openChannel(path.join(dir, 's'));
    const call = createClient(Content, own).info({ digest: 'wait' });
    await eventually(() => seen.contexts.at(-1)?.signal.aborted === false);
    own[Symbol.dispose]();
    await assert.rejects(call, (e) => isKind(e, 'aborted'));
  });

  it('makes its socket with the mode asked for, whatever the umask', async () => {
    const before = process.umask(0o777);
    try {
      await using _ = await listenUnix(path.join(dir, 'm'), () => {}, { mode: 0o640 });
      assert.equal((await stat(path.join(dir, 'm'))).mode & 0o777, 0o640);
    } finally {
      process.umask(before);
    }
    await assert.rejects(stat(path.join(dir, 'm')), { code: 'ENOENT' });
  });

  it('says unavailable when nobody listens', async () => {
    using nobody = openChannel(path.join(dir, 'nobody'));
    await assert.rejects(createClient(Version, nobody).version({}), (e) => isKind(e, 'unavailable'));
  });
});

async function drain<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of stream) all.push(item);
  return all;
}

async function eventually(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 100 && !condition(); i++) await sleep(20);
  assert.ok(condition());
}

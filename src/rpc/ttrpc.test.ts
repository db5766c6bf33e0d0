import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Context, daemonContext, silentLog } from '../async/context.ts';
import { BerthError, isKind, kindOf, kinds } from '../errors/error.ts';
import { Task } from '../gen/containerd/task/v3/task_pb.ts';
import { bindService } from './service.ts';
import { connectTtrpc, type TtrpcClient } from './ttrpc-client.ts';
import { encodeFrame, FrameReader, maxPayloadBytes } from './ttrpc-frame.ts';
import { rawService, TtrpcServer } from './ttrpc-server.ts';

const ctx = (namespace = 'test', signal?: AbortSignal): Context =>
  daemonContext(silentLog, namespace, signal);
const dir = mkdtempSync(join(tmpdir(), 'ttrpc-'));
const path = join(dir, 'sock');
let aborted: Promise<void>;
let client: TtrpcClient;
let hung = Promise.withResolvers<void>();

const service = bindService(Task, {
  async state(request, context) {
    return { id: `${context.namespace}/${request.id}`, pid: 7 };
  },
  async kill(request) {
    throw new BerthError(kinds[request.signal] ?? 'unknown', 'it broke');
  },
  async wait(_request, context) {
    const { promise, reject } = Promise.withResolvers<never>();
    aborted = new Promise((resolve) =>
      context.signal.addEventListener('abort', () => resolve(), { once: true }),
    );
    context.signal.addEventListener('abort', () => reject(context.signal.reason), { once: true });
    hung.resolve();
    return promise;
  },
});
const server = new TtrpcServer({ services: [rawService(service)], log: silentLog, maxCalls: 64 });

before(async () => {
  await server.listen(path);
  client = await connectTtrpc(path);
});
after(async () => {
  client.close();
  await server.close();
  rmSync(dir, { recursive: true });
});

test('a call carries its namespace and its answer comes back typed', async () => {
  const answer = await client.service(Task).state({ id: 'a' }, ctx());
  assert.equal(answer.id, 'test/a');
  assert.equal(answer.pid, 7);
});

test('the socket is a path that only its owner may open (CVE-2020-15257)', () => {
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('many calls are in flight at once and answers find their callers', async () => {
  const task = client.service(Task);
  const ids = Array.from({ length: 50 }, (_, i) => `id${i}`);
  const answers = await Promise.all(ids.map((id) => task.state({ id }, ctx())));
  assert.deepEqual(
    answers.map((answer) => answer.id),
    ids.map((id) => `test/${id}`),
  );
});

test('error kinds travel both ways', async () => {
  for (const [signal, kind] of kinds.entries()) {
    await assert.rejects(client.service(Task).kill({ signal }, ctx()), (e) => kindOf(e) === kind);
  }
});

test('a method or service that is not served is not_implemented and names itself', async () => {
  await assert.rejects(client.service(Task).pids({ id: 'a' }, ctx()), /Task\/Pids/);
  await assert.rejects(client.call('no.Such', 'X', new Uint8Array(), ctx()), /no\.Such/);
});

test('a call past its deadline ends on both sides', async () => {
  hung = Promise.withResolvers();
  await assert.rejects(client.service(Task).wait({ id: 'a' }, ctx(), 20), /deadline exceeded/);
  await aborted;
});

test('an aborted signal frees the caller, closing the connection cancels the handler', async () => {
  const other = await connectTtrpc(path);
  hung = Promise.withResolvers();
  const controller = new AbortController();
  const waiting = other.service(Task).wait({ id: 'a' }, ctx('test', controller.signal));
  await hung.promise;
  controller.abort();
  await assert.rejects(waiting, { name: 'AbortError' });
  const lost = other.service(Task).wait({ id: 'b' }, ctx());
  other.close();
  await assert.rejects(lost, (e) => isKind(e, 'unavailable'));
  await aborted;
});

test('an oversize request is refused before it is sent', async () => {
  const call = client.call('a', 'b', new Uint8Array(maxPayloadBytes + 1), ctx());
  await assert.rejects(call, (e) => isKind(e, 'resource_exhausted'));
  assert.equal((await client.service(Task).state({ id: 'a' }, ctx())).pid, 7);
});

const header = (length: number, streamId: number, type: number, flags = 1): Buffer => {
  const bytes = Buffer.alloc(10);
  bytes.writeUInt32BE(length, 0);
  bytes.writeUInt32BE(streamId, 4);
  bytes[8] = type;
  bytes[9] = flags;
  return bytes;
};

test('hostile frames get an answer or a closed connection, and others are served on (CVE-2024-37168)', async () => {
  const rows: [string, Buffer, RegExp | undefined][] = [
    ['length 2^32-1', header(0xffffffff, 1, 1), /exceeds maximum message size/],
    ['length 4 MiB + 1', header(maxPayloadBytes + 1, 1, 1), /exceeds maximum message size/],
    ['even stream id', header(0, 2, 1), /must be odd/],
    ['garbage payload', Buffer.concat([header(3, 1, 1), Buffer.from([0xff, 0xff, 0xff])]), /./],
    ['streaming call', header(0, 1, 1, 2), /streaming/],
    ['empty request', header(0, 1, 1), /not implemented/],
  ];
  for (const [name, bytes, expected] of rows) {
    const socket = connect({ path });
    socket.write(bytes);
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    assert.match(chunk.toString('latin1'), expected ?? /./, name);
    socket.destroy();
  }
  assert.equal((await client.service(Task).state({ id: 'a' }, ctx())).pid, 7);
});

test('more calls than allowed on one connection are refused, the others live', async () => {
  const busy = await connectTtrpc(path);
  const waits = Array.from({ length: 65 }, () => busy.service(Task).wait({ id: 'a' }, ctx(), 200));
  const results = await Promise.allSettled(waits);
  const refused = results.filter((r) => r.status === 'rejected' && isKind(r.reason, 'resource_exhausted'));
  assert.equal(refused.length, 1);
  busy.close();
});

test('frames are found however the bytes are cut', () => {
  const frames = [0, 1, 9, 10, 5000].map((n, i) =>
    encodeFrame({ streamId: 2 * i + 1, type: 1, flags: 0, payload: Buffer.alloc(n, i) }),
  );
  const bytes = Buffer.concat(frames);
  for (const size of [1, 3, 10, 4096, bytes.length]) {
    const reader = new FrameReader();
    const found: number[] = [];
    for (let at = 0; at < bytes.length; at += size)
      for (const frame of reader.push(bytes.subarray(at, at + size))) found.push(frame.payload.length);
    assert.deepEqual(found, [0, 1, 9, 10, 5000], `cut every ${size} bytes`);
  }
});

test('connecting where nobody listens is unavailable', async () => {
  await assert.rejects(connectTtrpc(join(dir, 'none')), (e) => isKind(e, 'unavailable'));
});

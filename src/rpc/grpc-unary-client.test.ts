import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Context, daemonContext, silentLog } from '../async/context.ts';
import { BerthError, codeOf, isKind, kindOf, kinds, messageOf } from '../errors/error.ts';
import { Task } from '../gen/containerd/task/v3/task_pb.ts';
import { frameMessage } from './grpc-frame.ts';
import { GrpcServer } from './grpc-server.ts';
import { connectGrpc, type GrpcUnaryClient } from './grpc-unary-client.ts';
import { bindService } from './service.ts';
import { listenUnix } from './unix-listener.ts';

const ctx = (signal?: AbortSignal): Context => daemonContext(silentLog, 'test', signal);
const dir = mkdtempSync(join(tmpdir(), 'grpc-'));
const path = join(dir, 'sock');
const sockets: Socket[] = [];
let listener: AsyncDisposable;
let client: GrpcUnaryClient;
let cancelled = Promise.withResolvers<unknown>();
let hung = Promise.withResolvers<void>();

const server = new GrpcServer([
  bindService(Task, {
    async state(request, context) {
      return { id: `${context.namespace}/${request.id}`, pid: 7 };
    },
    async kill(request) {
      throw new BerthError(kinds[request.signal] ?? 'unknown', '100 % of it broke: ü');
    },
    wait(_request, { signal }) {
      signal.addEventListener('abort', () => cancelled.resolve(signal.reason), { once: true });
      hung.resolve();
      return new Promise(() => {});
    },
  }),
]);

before(async () => {
  listener = await listenUnix(path, (socket) => {
    sockets.push(socket);
    server.accept(socket);
  });
  client = await connectGrpc(path);
});
after(async () => {
  client.close();
  await listener[Symbol.asyncDispose]();
  await server.close();
  rmSync(dir, { recursive: true });
});

test('a call carries its namespace and its answer comes back typed', async () => {
  const { id, pid } = await client.service(Task).state({ id: 'a' }, ctx());
  assert.deepEqual([id, pid], ['test/a', 7]);
});

test('every kind of error arrives as what it was, with its words', async () => {
  for (const [signal, kind] of kinds.entries())
    await assert.rejects(
      client.service(Task).kill({ signal }, ctx()),
      (e) => isKind(e, kind) && messageOf(e).startsWith('100 % of it broke: ü'),
      kind,
    );
});

test('a method that is not served is not implemented', async () => {
  await assert.rejects(client.service(Task).pids({}, ctx()), (e) => isKind(e, 'not_implemented'));
});

test('a deadline and an abort free the caller, and the server is told', async () => {
  await assert.rejects(client.service(Task).wait({}, ctx(), 20), { name: 'TimeoutError' });
  await cancelled.promise;
  [cancelled, hung] = [Promise.withResolvers(), Promise.withResolvers()];
  const stop = new AbortController();
  const waiting = client.service(Task).wait({}, ctx(stop.signal));
  await hung.promise;
  stop.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  await cancelled.promise;
});

test('when the connection ends, what waits and what comes fails as unavailable', async () => {
  using own = await connectGrpc(path);
  hung = Promise.withResolvers();
  const waiting = own.service(Task).wait({}, ctx());
  await hung.promise;
  sockets.at(-1)?.destroy();
  const isClosed = (e: unknown) => isKind(e, 'unavailable') && /grpc: closed/.test(messageOf(e));
  await assert.rejects(waiting, isClosed);
  await own.closed;
  await assert.rejects(own.service(Task).state({}, ctx()), isClosed);
});

test('nobody there is told with the reason', async () => {
  await assert.rejects(connectGrpc(join(dir, 'nobody')), (e) => {
    return isKind(e, 'unavailable') && codeOf((e as Error).cause) === 'ENOENT';
  });
});

const ok = { ':status': 200, 'content-type': 'application/grpc' };
const respond = (
  stream: ServerHttp2Stream,
  trailers: IncomingHttpHeaders | undefined,
  ...bodies: Buffer[]
) => {
  stream.respond(ok, { waitForTrailers: true });
  stream.on('wantTrailers', () => (trailers === undefined ? stream.close() : stream.sendTrailers(trailers)));
  stream.end(Buffer.concat(bodies));
};
const message = frameMessage(Buffer.from([10, 1, 97]));
const compressed = Buffer.from(message);
compressed[0] = 1;
const huge = Buffer.from([0, 255, 255, 255, 255]);
const hostile: readonly (readonly [string, string, RegExp, (stream: ServerHttp2Stream) => void])[] = [
  [
    'HTTP without gRPC',
    'unknown',
    /HTTP status 404/,
    (s) => s.respond({ ':status': 404 }, { endStream: true }),
  ],
  ['no status', 'internal', /without a status/, (s) => respond(s, undefined, message)],
  [
    'a status that is no number',
    'internal',
    /without a status/,
    (s) => respond(s, { 'grpc-status': 'x' }, message),
  ],
  ['no message', 'internal', /no answer/, (s) => respond(s, { 'grpc-status': '0' })],
  ['two messages', 'internal', /more than one/, (s) => respond(s, { 'grpc-status': '0' }, message, message)],
  ['a compressed message', 'internal', /compressed/, (s) => respond(s, { 'grpc-status': '0' }, compressed)],
  [
    'a message of 4 GiB',
    'resource_exhausted',
    /larger than max/,
    (s) => respond(s, { 'grpc-status': '0' }, huge),
  ],
  ['a reset', 'unavailable', /without an answer/, (s) => s.close(8)],
  ['the end of the connection', 'unavailable', /grpc: closed/, (s) => s.session?.destroy()],
];
for (const [what, kind, words, act] of hostile)
  test(`a server that answers with ${what} is told as ${kind}`, async () => {
    const socket = join(dir, 'hostile');
    const bad: Http2Server = createServer();
    bad.on('stream', (stream: ServerHttp2Stream) => {
      stream.on('error', () => {});
      act(stream);
    });
    await new Promise<void>((resolve) => bad.listen(socket, resolve));
    using own = await connectGrpc(socket);
    await assert.rejects(
      own.service(Task).state({}, ctx()),
      (e) => kindOf(e) === kind && words.test(messageOf(e)),
    );
    own.close();
    await new Promise((resolve) => bad.close(resolve));
  });

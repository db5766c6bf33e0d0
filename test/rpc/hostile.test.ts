import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type http2 from 'node:http2';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { Content } from '../../src/gen/containerd/services/content/v1/content_pb.ts';
import { createClient, openChannel } from '../../src/rpc/grpc-client.ts';
import { until } from '../kit/until.ts';
import { TestServer } from './server.ts';

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

function frame(type: number, flags: number, stream: number, payload = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const settings = frame(4, 0, 0);
/** A literal header without indexing (RFC 7541 6.2.2), short strings only. */
const header = (name: string, value: string) =>
  Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
const request = Buffer.concat([
  header(':method', 'POST'),
  header(':scheme', 'http'),
  header(':path', '/containerd.services.content.v1.Content/Read'),
  header(':authority', 'localhost'),
  header('content-type', 'application/grpc'),
  header('te', 'trailers'),
]);
const repeat = (count: number, make: (i: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));

const attacks: Record<string, Buffer> = {
  'random bytes': randomBytes(100_000),
  'an HTTP/1.1 request': Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
  'a preface and random bytes': Buffer.concat([preface, randomBytes(10_000)]),
  'half a preface': preface.subarray(0, 10),
  'a frame longer than allowed': Buffer.concat([
    preface,
    settings,
    Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]),
  ]),
  'malformed HPACK (CVE-2025-59465)': Buffer.concat([
    preface,
    settings,
    frame(1, 4, 1, Buffer.from([0x82, 0xff, 0xff, 0xff, 0xff, 0xff])),
  ]),
  'endless CONTINUATION (CVE-2024-27983)': Buffer.concat([
    preface,
    settings,
    frame(1, 0, 1, request),
    repeat(2000, (i) => frame(9, 0, 1, header(`x-${i}`, 'y'.repeat(100)))),
  ]),
  'CONTINUATION without HEADERS': Buffer.concat([preface, settings, frame(9, 4, 1, request)]),
  'WINDOW_UPDATE overflow (CVE-2026-21714)': Buffer.concat([
    preface,
    settings,
    repeat(5000, () => frame(8, 0, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff]))),
  ]),
  'WINDOW_UPDATE of zero': Buffer.concat([preface, settings, frame(8, 0, 0, Buffer.alloc(4))]),
  'reset flood (CVE-2023-44487)': Buffer.concat([
    preface,
    settings,
    repeat(3000, (i) =>
      Buffer.concat([frame(1, 4, 2 * i + 1, request), frame(3, 0, 2 * i + 1, Buffer.from([0, 0, 0, 8]))]),
    ),
  ]),
  'SETTINGS churn': Buffer.concat([
    preface,
    repeat(5000, (i) => frame(4, 0, 0, Buffer.from([0, 1, 0, 0, i & 15, i & 255]))),
  ]),
  'PING flood': Buffer.concat([preface, settings, repeat(5000, () => frame(6, 0, 0, Buffer.alloc(8)))]),
  'ORIGIN and ALTSVC flood': Buffer.concat([
    preface,
    settings,
    repeat(3000, (i) => frame(i % 2 ? 12 : 10, 0, 0, Buffer.from([0, 1, 120]))),
  ]),
  'GOAWAY, then more': Buffer.concat([
    preface,
    settings,
    frame(7, 0, 0, Buffer.alloc(8)),
    frame(1, 4, 1, request),
  ]),
  'DATA on an idle stream': Buffer.concat([preface, settings, frame(0, 0, 7, Buffer.alloc(10))]),
};

describe('the gRPC socket against bad clients', () => {
  let server: TestServer;
  before(async () => {
    server = await TestServer.start();
  });
  after(() => server[Symbol.asyncDispose]());

  for (const [name, bytes] of Object.entries(attacks))
    it(`survives ${name}`, async () => {
      for (let i = 0; i < 3; i++) {
        const socket = server.raw();
        socket.write(bytes);
        await Promise.race([new Promise((resolve) => socket.once('close', resolve)), sleep(100)]);
        socket.destroy();
      }
      assert.ok(await server.answers());
    });

  it('survives headers that come byte by byte', async () => {
    const socket = server.raw();
    const bytes = Buffer.concat([preface, settings, frame(1, 5, 1, request)]);
    for (let i = 0; i < 60; i++) {
      socket.write(bytes.subarray(i, i + 1));
      await sleep(1);
    }
    assert.ok(await server.answers());
    socket.destroy();
  });

  const call = (
    session: http2.ClientHttp2Session,
    path: string,
    headers: http2.OutgoingHttpHeaders,
    body?: Buffer,
  ) =>
    new Promise<http2.IncomingHttpHeaders>((resolve) => {
      const all = {
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...headers,
      };
      const stream = session.request(all);
      let found: http2.IncomingHttpHeaders = {};
      const collect = (more: http2.IncomingHttpHeaders) => {
        found = { ...found, ...more };
      };
      stream.on('response', collect);
      stream.on('trailers', collect);
      stream.on('error', () => {});
      stream.on('close', () => resolve(found));
      stream.resume();
      stream.end(body);
    });

  const write = '/containerd.services.content.v1.Content/Write';
  const info = '/containerd.services.version.v1.Version/Version';
  const message = (flag: number, length: number, body: Buffer) => {
    const head = Buffer.alloc(5);
    head.writeUInt8(flag, 0);
    head.writeUInt32BE(length, 1);
    return Buffer.concat([head, body]);
  };
  const bomb = gzipSync(Buffer.alloc(256 * 1024 * 1024));

  const refused: Record<
    string,
    [path: string, headers: http2.OutgoingHttpHeaders, body: Buffer, status: string]
  > = {
    'a length prefix of 4 GiB (CVE-2024-37168)': [write, {}, message(0, 0xffffffff, Buffer.alloc(100)), '8'],
    'a message of 64 MiB (CVE-2024-37168)': [write, {}, message(0, 64 << 20, Buffer.alloc(64 << 20)), '8'],
    'a gzip bomb (CVE-2024-37168)': [write, { 'grpc-encoding': 'gzip' }, message(1, bomb.length, bomb), '8'],
    'what is no gzip': [info, { 'grpc-encoding': 'gzip' }, message(1, 5, Buffer.from('abcde')), '13'],
    'an unknown compression': [info, { 'grpc-encoding': 'br' }, message(1, 1, Buffer.from('a')), '12'],
    'what is no protobuf': [write, {}, message(0, 3, Buffer.from([0xff, 0xff, 0xff])), '13'],
    'a bad timeout': [info, { 'grpc-timeout': 'soon' }, message(0, 0, Buffer.alloc(0)), '13'],
    'a bad namespace': [info, { 'containerd-namespace': '../x' }, message(0, 0, Buffer.alloc(0)), '3'],
    'no message at all': [info, {}, Buffer.alloc(0), '12'],
    'a path without method': ['/', {}, Buffer.alloc(0), '12'],
    'a path of nonsense': ['/%00%ff/..//x?a#b', {}, Buffer.alloc(0), '12'],
  };
  for (const [name, [path, headers, body, status]] of Object.entries(refused))
    it(`refuses ${name}`, async () => {
      const session = server.http2();
      const rss = process.memoryUsage().rss;
      assert.equal((await call(session, path, headers, body))['grpc-status'], status);
      assert.ok(process.memoryUsage().rss - rss < 300e6);
      assert.equal((await call(session, info, {}, message(0, 0, Buffer.alloc(0))))['grpc-status'], '0');
      session.destroy();
    });

  it('takes an honest gzip message', async () => {
    const session = server.http2();
    const body = gzipSync(Buffer.alloc(0));
    const reply = await call(session, info, { 'grpc-encoding': 'gzip' }, message(1, body.length, body));
    assert.equal(reply['grpc-status'], '0');
    session.destroy();
  });

  it('refuses other content types', async () => {
    const session = server.http2();
    assert.equal((await call(session, info, { 'content-type': 'text/html' }))[':status'], 415);
    session.destroy();
  });

  it('frees everything of clients that vanish in the middle of a stream', async () => {
    server.seen.aborted = 0;
    for (let i = 0; i < 30; i++) {
      using channel = openChannel(server.socketPath);
      const stream = createClient(Content, channel).read({})[Symbol.asyncIterator]();
      await stream.next();
      if (i % 2 === 0) await stream.return?.();
    }
    const sessions = Array.from({ length: 30 }, () => server.http2());
    for (const session of sessions) void call(session, write, {}, undefined);
    for (const session of sessions) {
      const stream = session.request({
        ':method': 'POST',
        ':path': write,
        'content-type': 'application/grpc',
      });
      stream.on('error', () => {});
      stream.write(message(0, 1000, Buffer.alloc(500)));
    }
    await server.seen.until((running) => running >= sessions.length);
    for (const session of sessions) session.socket.destroy();
    await server.seen.until((running) => running === 0);
    await until(() => server.server.connections <= 1, 'the connections to go');
    assert.ok(await server.answers());
  });
});

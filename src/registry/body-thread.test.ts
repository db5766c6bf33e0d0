import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Connections } from './connections.ts';
import { defaultTls } from './host.ts';
import { ThreadBody } from './thread-body.ts';

const bytes = randomBytes(5 << 20);
const half = bytes.length / 2;

/** What the server does, by path. */
const answers: Readonly<Record<string, (response: ServerResponse) => void>> = {
  '/whole': (response) => response.end(bytes),
  '/cut': (response) => {
    response.writeHead(200, { 'content-length': bytes.length });
    response.write(bytes.subarray(0, half), () => response.destroy());
  },
  '/endless': (response) => response.writeHead(200).write(bytes.subarray(0, half)),
};

describe('a body that another thread takes', () => {
  const dir = mkdtempSync(join(tmpdir(), 'berth-body-'));
  const connections = new Connections();
  const server = createServer((request, response) => answers[request.url ?? '']?.(response));
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => {
    connections[Symbol.dispose]();
    server.closeAllConnections();
    server.close();
    rmSync(dir, { recursive: true });
  });

  async function ask(path: string, signal = new AbortController().signal): Promise<ThreadBody> {
    const { port } = server.address() as AddressInfo;
    const url = new URL(`http://127.0.0.1:${port}${path}`);
    const request = { method: 'GET', url, headers: {}, tls: defaultTls, dialTimeoutMs: 5_000 } as const;
    const { status, body } = await connections.send({ ...request, large: true }, signal);
    assert.equal(status, 200);
    assert.ok(body instanceof ThreadBody);
    return body;
  }

  async function pour(
    body: ThreadBody,
    to: { offset?: number; end?: number; size?: number; onPoured?: (to: number) => void } = {},
  ) {
    await using file: FileHandle = await open(join(dir, 'file'), 'w+');
    const { offset = 0, end = bytes.length, size = bytes.length, onPoured = () => {} } = to;
    const over = await body.pour({ fd: file.fd, offset, end, size }, onPoured);
    return { over, written: await file.readFile() };
  }

  test('is written to the file, behind what is there', async () => {
    const told: number[] = [];
    const body = await ask('/whole');
    const { over, written } = await pour(body, {
      offset: 10,
      end: bytes.length + 10,
      size: bytes.length + 10,
      onPoured: (to) => told.push(to),
    });
    assert.deepEqual(over, { reason: 'ended' });
    assert.ok(written.subarray(10).equals(bytes));
    assert.equal(told.at(-1), bytes.length + 10);
    assert.deepEqual(
      told,
      told.toSorted((a, b) => a - b),
    );
  });

  test('is read here as any other', async () => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of await ask('/whole')) chunks.push(chunk);
    assert.ok(Buffer.concat(chunks).equals(bytes));
  });

  test('stops where it is told to, and takes nothing from behind', async () => {
    const { over, written } = await pour(await ask('/whole'), { end: half });
    assert.deepEqual(over, { reason: 'reached' });
    assert.ok(written.equals(bytes.subarray(0, half)));
  });

  test('may be stopped earlier than was said first', async () => {
    const body = await ask('/endless');
    const onPoured = (to: number) => body.endAt(to);
    const { over, written } = await pour(body, { onPoured });
    assert.deepEqual(over, { reason: 'reached' });
    assert.ok(bytes.subarray(0, written.length).equals(written));
  });

  test('that is longer than described is no body', async () => {
    const { over, written } = await pour(await ask('/whole'), { end: half, size: half });
    assert.deepEqual(over, { reason: 'more' });
    assert.equal(written.length, half);
  });

  test('that breaks off leaves what came before', async () => {
    const { over, written } = await pour(await ask('/cut'));
    assert.equal(over.reason, 'broken');
    assert.ok(bytes.subarray(0, written.length).equals(written));
  });

  test('that cannot be written says why', async () => {
    await using file = await open('/dev/full', 'r+');
    const over = await (await ask('/whole')).pour({ fd: file.fd, offset: 0, end: 9, size: 9 }, () => {});
    assert.equal(over.reason === 'unwritable' && over.error.code, 'ENOSPC');
  });

  test('leaves the file alone once its caller has gone', async () => {
    const caller = new AbortController();
    const body = await ask('/endless', caller.signal);
    const { over } = await pour(body, { onPoured: () => caller.abort() });
    assert.deepEqual(over, { reason: 'stopped' });
  });

  test('a server that is not there is told as always', async () => {
    const url = new URL('http://127.0.0.1:1/');
    const request = { method: 'GET', url, headers: {}, tls: defaultTls, dialTimeoutMs: 5_000 } as const;
    await assert.rejects(
      connections.send({ ...request, large: true }, new AbortController().signal),
      /cannot reach http:\/\/127.0.0.1:1: .*ECONNREFUSED/,
    );
  });
});

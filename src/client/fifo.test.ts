import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readFifo, writeFifo } from './fifo.ts';

const root = mkdtempSync(join(tmpdir(), 'berth-fifo-'));
after(() => rmSync(root, { recursive: true }));

function fifo(name: string): string {
  const path = join(root, name);
  assert.equal(spawnSync('mkfifo', [path]).status, 0);
  return path;
}

async function text(stream: ReadableStream<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test('a reader opened before any writer waits for one and ends when the last writer closes', async () => {
  const path = fifo('late');
  const { stream } = readFifo(path);
  const read = text(stream);
  await sleep(20);
  const fd = openSync(path, constants.O_WRONLY);
  writeSync(fd, 'hello');
  closeSync(fd);
  assert.equal(await read, 'hello');
});

test('a reader that is closed by its owner ends although somebody holds the stream', async () => {
  const fifoEnd = readFifo(fifo('closed'));
  const read = text(fifoEnd.stream);
  fifoEnd.close();
  fifoEnd.close();
  assert.equal(await read, '');
});

test('a slow consumer stops the reading instead of filling memory', async () => {
  const path = fifo('slow');
  const { stream, close } = readFifo(path);
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  let taken = 0;
  for (let i = 0; i < 200; i++) {
    try {
      taken += writeSync(fd, Buffer.alloc(16384));
    } catch {
      await sleep(1);
    }
  }
  assert.ok(taken < 1 << 20, `${taken} bytes were taken without a consumer`);
  await stream.cancel();
  closeSync(fd);
  close();
});

test('a writer opened before any reader keeps its bytes for the reader, who sees the end after close', async () => {
  const path = fifo('stdin');
  const { stream } = writeFifo(path);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = stream.getWriter();
  await writer.write(Buffer.from('input'));
  await writer.close();
  await sleep(10);
  const buffer = Buffer.alloc(64);
  assert.equal(buffer.toString('utf8', 0, readSync(fd, buffer)), 'input');
  assert.equal(readSync(fd, buffer), 0);
  closeSync(fd);
});

test('a writer closed by its owner fails pending writes instead of hanging', async () => {
  const fifoEnd = writeFifo(fifo('full'));
  const writer = fifoEnd.stream.getWriter();
  const writing = writer.write(Buffer.alloc(1 << 20));
  fifoEnd.close();
  await assert.rejects(writing);
  await writer.closed.catch(() => {});
});

test('a regular file in the place of a FIFO is refused', () => {
  const path = join(root, 'file');
  writeFileSync(path, '');
  assert.throws(() => readFifo(path), { kind: 'invalid_argument' });
});

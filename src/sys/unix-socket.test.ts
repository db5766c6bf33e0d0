import assert from 'node:assert/strict';
import {
  existsSync,
  fstatSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { codeOf, kindOf } from '../errors/error.ts';
import { AT_FDCWD, O_RDONLY } from './constants.ts';
import { Fd } from './fd.ts';
import { addressOf, check, libcCall, libcLongCall } from './ffi.ts';
import { makeFifo, openFifo } from './fifo.ts';
import { openAt } from './files.ts';
import { openPty, setWindowSize, windowSize } from './tty.ts';
import { listenForFd, peerCredentials, sendDatagram } from './unix-socket.ts';

function scratch() {
  const path = mkdtempSync(join(tmpdir(), 'berth-sock-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}
const within = (ms: number) => AbortSignal.timeout(ms);

const socketCall = libcCall('socket', ['int', 'int', 'int']);
const connectCall = libcCall('connect', ['int', 'void *', 'uint32']);
const bindCall = libcCall('bind', ['int', 'void *', 'uint32']);
const recvCall = libcLongCall('recv', ['int', 'void *', 'uint64', 'int']);
const sendmsgCall = libcLongCall('sendmsg', ['int', 'void *', 'int']);
const addressOfPath = (path: string) => Buffer.concat([Buffer.from([1, 0]), Buffer.from(`${path}\0`)]);

/** What an OCI runtime does with --console-socket: connects and sends descriptors with one byte. */
function sendFds(path: string, fds: number[]): void {
  using socket = new Fd(check('socket', socketCall(1, 1, 0)));
  const address = addressOfPath(path);
  check('connect', connectCall(socket.fd, address, address.length));
  const body = Buffer.from('x');
  const control = Buffer.alloc(fds.length === 0 ? 0 : 16 + Math.ceil(fds.length / 2) * 8);
  if (fds.length > 0) {
    control.writeBigUInt64LE(BigInt(16 + 4 * fds.length), 0);
    control.writeInt32LE(1, 8);
    control.writeInt32LE(1, 12);
    fds.forEach((fd, i) => {
      control.writeInt32LE(fd, 16 + 4 * i);
    });
  }
  const iovec = Buffer.alloc(16);
  iovec.writeBigUInt64LE(addressOf(body), 0);
  iovec.writeBigUInt64LE(1n, 8);
  const header = Buffer.alloc(56);
  header.writeBigUInt64LE(addressOf(iovec), 16);
  header.writeBigUInt64LE(1n, 24);
  if (fds.length > 0) header.writeBigUInt64LE(addressOf(control), 32);
  header.writeBigUInt64LE(BigInt(control.length), 40);
  check('sendmsg', sendmsgCall(socket.fd, header, 0));
}

test('a descriptor sent over a console socket arrives, close-on-exec, and the socket leaves no path', async () => {
  using s = scratch();
  const path = join(s.path, 'console');
  writeFileSync(join(s.path, 'file'), 'x');
  using file = openAt(AT_FDCWD, join(s.path, 'file'), O_RDONLY);
  {
    using receiver = listenForFd(path);
    sendFds(path, []);
    setTimeout(() => sendFds(path, [file.fd, file.fd, file.fd]), 10);
    using received = await receiver.receive(within(2000));
    assert.notEqual(received.fd, file.fd);
    assert.equal(fstatSync(received.fd).ino, fstatSync(file.fd).ino);
  }
  assert.equal(existsSync(path), false);
});

test('waiting for a descriptor ends with its signal, also behind a client that says nothing', async () => {
  using s = scratch();
  const path = join(s.path, 'console');
  using receiver = listenForFd(path);
  await assert.rejects(receiver.receive(within(20)), (e) => (e as Error).name === 'TimeoutError');
  const silent = connect(path);
  await assert.rejects(receiver.receive(within(50)), (e) => (e as Error).name === 'TimeoutError');
  silent.destroy();
});

test('socket paths that do not fit are refused, not cut off', () => {
  for (const path of [`/tmp/${'x'.repeat(108)}`, '', 'a\0b'])
    assert.throws(
      () => listenForFd(path),
      (e) => kindOf(e) === 'invalid_argument',
    );
  assert.throws(
    () => listenForFd('/no/such/dir/socket'),
    (e) => codeOf(e) === 'ENOENT',
  );
});

test('the kernel tells who is at the other end of a socket', async () => {
  using s = scratch();
  const path = join(s.path, 'console');
  using _receiver = listenForFd(path);
  using client = new Fd(check('socket', socketCall(1, 1, 0)));
  const address = addressOfPath(path);
  check('connect', connectCall(client.fd, address, address.length));
  assert.deepEqual(peerCredentials(client), {
    pid: process.pid,
    uid: process.getuid?.(),
    gid: process.getgid?.(),
  });
});

test('a datagram arrives at a path and at an abstract name', () => {
  using s = scratch();
  const abstract = `berth-test-${process.pid}`;
  for (const [name, bytes] of [
    [join(s.path, 'notify'), addressOfPath(join(s.path, 'notify'))],
    [`@${abstract}`, Buffer.concat([Buffer.from([1, 0, 0]), Buffer.from(abstract)])],
  ] as const) {
    using socket = new Fd(check('socket', socketCall(1, 2, 0)));
    check('bind', bindCall(socket.fd, bytes, bytes.length));
    sendDatagram(name, 'READY=1\n');
    const buffer = Buffer.alloc(64);
    assert.equal(
      buffer.toString('utf8', 0, check('recv', recvCall(socket.fd, buffer, 64, 0x40))),
      'READY=1\n',
    );
  }
  assert.throws(
    () => sendDatagram(join(s.path, 'absent'), 'x'),
    (e) => codeOf(e) === 'ENOENT',
  );
});

test('a terminal pair is opened and resized from either end', () => {
  const { controller, terminal } = openPty();
  using a = controller;
  using b = terminal;
  setWindowSize(a, { columns: 132, rows: 43 });
  assert.deepEqual(windowSize(b), { columns: 132, rows: 43 });
  assert.match(readlinkSync(b.procPath), /^\/dev\/pts\/\d+$/);
  using s = scratch();
  writeFileSync(join(s.path, 'f'), '');
  using file = openAt(AT_FDCWD, join(s.path, 'f'), O_RDONLY);
  assert.throws(
    () => windowSize(file),
    (e) => codeOf(e) === 'ENOTTY',
  );
});

test('a FIFO is opened without waiting for its other end, and streams', async () => {
  using s = scratch();
  const path = join(s.path, 'fifo');
  makeFifo(path);
  assert.throws(
    () => openFifo(path, 'write'),
    (e) => codeOf(e) === 'ENXIO',
  );
  const reader = new Socket({ fd: openFifo(path, 'read').release(), readable: true, writable: false });
  const writer = new Socket({ fd: openFifo(path, 'write').release(), readable: false, writable: true });
  writer.end('hello');
  let text = '';
  for await (const chunk of reader) text += chunk;
  assert.equal(text, 'hello');
  openFifo(path, 'both').close();
});

test('what is no FIFO is refused', () => {
  using s = scratch();
  writeFileSync(join(s.path, 'file'), '');
  makeFifo(join(s.path, 'fifo'));
  symlinkSync('fifo', join(s.path, 'link'));
  for (const name of ['file', 'link'])
    assert.throws(
      () => openFifo(join(s.path, name), 'both'),
      (e) => kindOf(e) === 'failed_precondition',
    );
});

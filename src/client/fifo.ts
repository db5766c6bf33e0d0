import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { UnderlyingDefaultSource } from 'node:stream/web';
import { aborted, invalidArgument } from '../errors/error.ts';

/** A stream over a FIFO, and the way to let go of it at once, whoever holds the stream. Closing is idempotent. */
export interface Fifo<S> {
  readonly stream: S;
  close(): void;
}

/**
 * A FIFO that a process of a container writes. Opened without waiting for the writer; reading goes through the event
 * loop, so a silent process never holds a thread. Closing ends the stream.
 * @throws ENOENT and other errors of open(2), invalid_argument when `path` is no FIFO
 */
export function readFifo(path: string): Fifo<ReadableStream<Uint8Array>> {
  const socket = socketOf(path, constants.O_RDONLY, { readable: true, writable: false });
  socket.pause();
  let open = true;
  const finish = (end: () => void) => {
    if (open) end();
    open = false;
  };
  const source: UnderlyingDefaultSource<Uint8Array> = {
    start(controller) {
      socket.on('data', (chunk: Buffer) => {
        if (open) controller.enqueue(chunk);
        if ((controller.desiredSize ?? 0) <= 0) socket.pause();
      });
      socket.once('end', () => finish(() => controller.close()));
      socket.once('error', (error) => finish(() => controller.error(error)));
      socket.once('close', () => finish(() => controller.close()));
    },
    pull: () => void socket.resume(),
    cancel: () => finish(() => void socket.destroy()),
  };
  const strategy = new ByteLengthQueuingStrategy({ highWaterMark: maxQueuedBytes });
  return { stream: new ReadableStream(source, strategy), close: () => void socket.destroy() };
}

const maxQueuedBytes = 256 << 10;

/**
 * A FIFO that a process of a container reads. It is opened for both directions because a writer alone would have to
 * wait for the reader; closing or aborting the stream closes it, and bytes that the reader has not taken stay with it.
 */
export function writeFifo(path: string): Fifo<WritableStream<Uint8Array>> {
  const socket = socketOf(path, constants.O_RDWR, { readable: false, writable: true });
  const stream = new WritableStream<Uint8Array>({
    start(controller) {
      socket.once('error', (error) => controller.error(error));
      socket.once('close', () => controller.error(aborted(`${path} is closed`)));
    },
    write: (chunk) => written(socket, chunk),
    close: () => void socket.destroy(),
    abort: () => void socket.destroy(),
  });
  return { stream, close: () => void socket.destroy() };
}

function written(socket: Socket, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}

function socketOf(path: string, flags: number, sides: { readable: boolean; writable: boolean }): Socket {
  const fd = openSync(path, flags | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    if (!fstatSync(fd).isFIFO()) throw invalidArgument(`${path} is no FIFO`);
    return new Socket({ fd, ...sides });
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

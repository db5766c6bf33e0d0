import { resourceExhausted } from '../errors/error.ts';
import { ByteQueue } from './byte-queue.ts';

/** Message types of ttrpc (ttrpc PROTOCOL.md). Only unary calls are spoken here, so `data` is never sent. */
export const FrameType = { request: 1, response: 2, data: 3 } as const;

/** Flags of a frame: `remoteClosed` = nothing more will come on this stream from the sender. */
export const FrameFlag = { remoteClosed: 1, remoteOpen: 2, noData: 4 } as const;

/** Bytes before each payload: length, stream id (big endian, 32 bits each), type, flags. */
const headerBytes = 10;
/** Largest payload either way, ttrpc's own limit (4 MiB). */
export const maxPayloadBytes = 4 * 1024 * 1024;

export interface Frame {
  readonly streamId: number;
  readonly type: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

/** A frame as sent. @throws resource_exhausted when the payload is over 4 MiB */
export function encodeFrame(frame: Frame): Buffer {
  const { length } = frame.payload;
  if (length > maxPayloadBytes) throw oversize(length);
  const bytes = Buffer.allocUnsafe(headerBytes + length);
  bytes.writeUInt32BE(length, 0);
  bytes.writeUInt32BE(frame.streamId, 4);
  bytes[8] = frame.type;
  bytes[9] = frame.flags;
  bytes.set(frame.payload, headerBytes);
  return bytes;
}

export const oversize = (length: number) =>
  resourceExhausted(`message length ${length} exceeds maximum message size of ${maxPayloadBytes}`);

/** A frame whose header announces more than the limit: its payload is not read, so the connection must end. */
export class OversizeFrame extends Error {
  readonly streamId: number;
  readonly length: number;

  constructor(streamId: number, length: number) {
    super(`frame of ${length} bytes`);
    this.streamId = streamId;
    this.length = length;
  }
}

/** Cuts a byte stream into frames. Holds at most one payload's worth of bytes beyond the chunk given. */
export class FrameReader {
  readonly #bytes = new ByteQueue();

  /** The frames that `chunk` completes, in order. @throws OversizeFrame */
  *push(chunk: Buffer): Generator<Frame> {
    this.#bytes.push(chunk);
    for (;;) {
      const frame = this.#next();
      if (frame === undefined) return;
      yield frame;
    }
  }

  #next(): Frame | undefined {
    if (this.#bytes.length < headerBytes) return undefined;
    const header = this.#bytes.peek(headerBytes);
    const length = header.readUInt32BE(0);
    if (length > maxPayloadBytes) throw new OversizeFrame(header.readUInt32BE(4), length);
    if (this.#bytes.length < headerBytes + length) return undefined;
    const whole = this.#bytes.take(headerBytes + length);
    return {
      streamId: whole.readUInt32BE(4),
      type: whole.readUInt8(8),
      flags: whole.readUInt8(9),
      payload: whole.subarray(headerBytes),
    };
  }
}

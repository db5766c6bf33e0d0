import { once } from 'node:events';
import { constants, type ServerHttp2Stream } from 'node:http2';
import { internal } from '../errors/error.ts';
import { type Encoding, type Frame, MessageSplitter, type ReceivedMessage } from './grpc-frame.ts';
import { inflate } from './grpc-inflate.ts';
import { sendTrailers, type Trailers } from './http2-trailers.ts';
import { Code, type WireStatus } from './status.ts';

const answerHeaders = { ':status': 200, 'content-type': 'application/grpc' } as const;
/** An answer of up to so many bytes is sent as one part: its copy costs less than a write for each. */
const joinedBytes = 16 * 1024;
const noDate = { sendDate: false } as const;

/**
 * One call on its HTTP/2 stream: messages both ways at their readers' pace, then a status. Its signal fires with an
 * AbortError when the client cancels or vanishes, a TimeoutError past the deadline, and never after the end of the call.
 */
export class GrpcExchange {
  readonly #stream: ServerHttp2Stream;
  readonly #controller = new AbortController();
  readonly #splitter = new MessageSplitter();
  readonly #received: ReceivedMessage[] = [];
  #encoding: Encoding = 'identity';
  #timer: NodeJS.Timeout | undefined;
  #fault: unknown;
  #inputOver = false;
  #wake: (() => void) | undefined;
  #answering = false;
  #over = false;

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => this.#take(chunk));
    stream.on('end', () => this.#endInput());
    stream.on('aborted', () => this.#interrupt(cancelError));
    stream.on('close', () => this.#interrupt(cancelError));
    // What went wrong with a stream is told by its close.
    stream.on('error', () => {});
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What the client's messages are compressed with, where they are; before the first {@link receive}. */
  setEncoding(encoding: Encoding): void {
    this.#encoding = encoding;
  }

  /** Ends the call with DEADLINE_EXCEEDED after so long. Longer than 24 days, a timer's limit, is for ever. */
  setDeadline(ms: number): void {
    if (ms < 2 ** 31) this.#timer = setTimeout(() => this.#expire(), ms);
  }

  /** The next message; undefined once there are no more. @throws the signal's reason, resource_exhausted, internal */
  async receive(): Promise<Buffer | undefined> {
    while (this.#received.length === 0 && !this.#inputOver) {
      this.#stream.resume();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const message = this.#received.shift();
    if (message === undefined) {
      if (this.#fault !== undefined) throw this.#fault;
      return undefined;
    }
    return message.compressed ? inflate(message, this.#encoding) : message.bytes;
  }

  /** Sends the headers. Idempotent. */
  open(): void {
    if (this.#answering || this.#isOver) return;
    this.#answering = true;
    this.#stream.respond(answerHeaders, { ...noDate, waitForTrailers: true });
  }

  /** Sends one or several frames in one write; waits while the client does not take what was sent. @throws the signal's reason */
  async send(frames: Frame): Promise<void> {
    this.signal.throwIfAborted();
    this.open();
    if (!this.#write(frames)) await once(this.#stream, 'drain', { signal: this.signal });
  }

  /** Sends the one frame of an answer and ends well. */
  reply(frame: Frame): void {
    if (this.#isOver) return;
    this.open();
    this.#end({ code: Code.ok, message: '' }, frame);
  }

  /** Ends the call with a status. What comes after that has no effect. */
  finish(status: WireStatus): void {
    if (this.#isOver) return;
    if (this.#answering || status.code === Code.ok) {
      this.open();
      this.#end(status);
      return;
    }
    this.#close();
    this.#stream.respond({ ...answerHeaders, ...trailersOf(status) }, { ...noDate, endStream: true });
    this.#dropInput();
  }

  get #isOver(): boolean {
    return this.#over || this.#stream.closed || this.#stream.destroyed;
  }

  /** @returns false where the client does not take it yet */
  #write(parts: readonly Uint8Array[]): boolean {
    this.#stream.cork();
    const taken = parts.reduce((_, part) => this.#stream.write(part), true);
    this.#stream.uncork();
    return taken;
  }

  #end(status: WireStatus, last: Frame = []): void {
    this.#close();
    const stream = this.#stream;
    stream.once('wantTrailers', () => {
      sendTrailers(stream, trailersOf(status));
      this.#dropInput();
    });
    const parts = joinShort(last);
    if (parts.length > 1) this.#write(parts.slice(0, -1));
    stream.end(parts.at(-1));
  }

  /** A client that still sends is told that nobody listens, once the status is on its way (RFC 9113 §8.1). */
  #dropInput(): void {
    this.#stream.resume();
    if (this.#stream.readableEnded) return;
    // Node hands frames to the socket in an immediate; a reset before that would take the status along.
    setImmediate(() => setImmediate(() => this.#stream.close(constants.NGHTTP2_NO_ERROR)));
  }

  #take(chunk: Buffer): void {
    if (this.#over || this.#fault !== undefined) return;
    try {
      this.#received.push(...this.#splitter.push(chunk));
      if (this.#received.length === 0) return;
      // One may wait: pausing costs more than the end that usually follows.
      if (this.#received.length > 1) this.#stream.pause();
    } catch (error) {
      this.#fault = error;
      this.#inputOver = true;
    }
    this.#wake?.();
  }

  #endInput(): void {
    if (this.#splitter.partial) this.#fault ??= internal('grpc: unexpected end of a message');
    this.#inputOver = true;
    this.#wake?.();
  }

  #expire(): void {
    this.#interrupt(deadlineError);
    this.finish({ code: Code.deadlineExceeded, message: deadlineError().message });
  }

  #interrupt(reasonOf: () => DOMException): void {
    if (this.#over || this.signal.aborted) return;
    const reason = reasonOf();
    clearTimeout(this.#timer);
    this.#fault = reason;
    this.#inputOver = true;
    this.#received.length = 0;
    this.#controller.abort(reason);
    this.#wake?.();
  }

  #close(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }
}

function joinShort(frame: Frame): Frame {
  if (frame.length < 2) return frame;
  const bytes = frame.reduce((sum, { length }) => sum + length, 0);
  return bytes > joinedBytes ? frame : [Buffer.concat(frame, bytes)];
}

const deadlineError = (): DOMException => new DOMException('context deadline exceeded', 'TimeoutError');
const cancelError = (): DOMException => new DOMException('context canceled', 'AbortError');

function trailersOf({ code, message }: WireStatus): Trailers {
  if (message === '') return { 'grpc-status': String(code) };
  return { 'grpc-status': String(code), 'grpc-message': percentEncode(message) };
}

/** Printable ASCII stays as it is, but for `%` (grpc/doc/PROTOCOL-HTTP2.md). */
const percentEncode = (message: string): string =>
  message.replace(/[^\x20-\x24\x26-\x7e]+/gu, (odd) =>
    Buffer.from(odd).toString('hex').toUpperCase().replace(/../g, '%$&'),
  );

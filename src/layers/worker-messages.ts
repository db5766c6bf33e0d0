import type { MessagePort } from 'node:worker_threads';
import { aborted, BerthError, codeOf, type ErrorKind, kindOf, messageOf } from '../errors/error.ts';

/** A job as it travels to a worker. */
export interface JobMessage<Job> {
  readonly job: Job;
  /** One Int32; not 0 means stop. Shared memory, so that a worker deep in synchronous work sees it. */
  readonly cancel: SharedArrayBuffer;
  /** Source bytes: the worker posts `null` for each chunk it wants, gets a {@link StreamMessage}. */
  readonly stream: MessagePort | undefined;
}

export type StreamMessage =
  | { readonly chunk: Uint8Array }
  | { readonly end: true }
  | { readonly error: ErrorMessage };

export type ResultMessage<Outcome> = { readonly outcome: Outcome } | { readonly error: ErrorMessage };

/** An error as it crosses threads. */
export interface ErrorMessage {
  readonly kind: ErrorKind;
  readonly message: string;
}

export function packError(error: unknown): ErrorMessage {
  const code = codeOf(error);
  const kind = kindOf(error);
  if (kind === 'unknown' && (code === 'ENOSPC' || code === 'EDQUOT'))
    return { kind: 'resource_exhausted', message: messageOf(error) };
  return { kind, message: messageOf(error) };
}

export const unpackError = (error: ErrorMessage): BerthError => new BerthError(error.kind, error.message);

/** Asks for chunks until the end; two requests are on their way so that the other side can work ahead. */
export async function* receiveStream(port: MessagePort): AsyncGenerator<Buffer> {
  const queue: StreamMessage[] = [];
  let wake = () => {};
  port.on('message', (message: StreamMessage) => {
    queue.push(message);
    wake();
  });
  port.on('close', () => {
    queue.push({ error: packError(aborted('layer stream closed')) });
    wake();
  });
  port.postMessage(null);
  port.postMessage(null);
  try {
    for (;;) {
      const message = queue.shift();
      if (message === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if ('chunk' in message) {
        port.postMessage(null);
        const { buffer, byteOffset, byteLength } = message.chunk;
        yield Buffer.from(buffer, byteOffset, byteLength);
      } else if ('error' in message) throw unpackError(message.error);
      else return;
    }
  } finally {
    port.close();
  }
}

/** Sends one chunk for each request. Ends, and returns the source, when the other side closes the port. */
export async function sendStream(port: MessagePort, source: AsyncIterable<Uint8Array>): Promise<void> {
  const iterator = source[Symbol.asyncIterator]();
  const requests = requestCounter(port);
  try {
    while (await requests.next()) {
      const { done, value } = await iterator.next();
      if (done) {
        port.postMessage({ end: true } satisfies StreamMessage);
        return;
      }
      // A copy of its own: cloning a view would clone all of the buffer under it.
      const chunk = Uint8Array.prototype.slice.call(value);
      port.postMessage({ chunk } satisfies StreamMessage, [chunk.buffer]);
    }
  } catch (error) {
    port.postMessage({ error: packError(error) } satisfies StreamMessage);
  } finally {
    await iterator.return?.().catch(() => {});
  }
}

/** `next` waits for one more request; false once the port is closed. */
export function requestCounter(port: MessagePort): { next(): Promise<boolean> } {
  let open = 0;
  let closed = false;
  let wake = () => {};
  port.on('message', () => {
    open++;
    wake();
  });
  port.on('close', () => {
    closed = true;
    wake();
  });
  return {
    async next() {
      while (open === 0 && !closed)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      open--;
      return !closed;
    },
  };
}

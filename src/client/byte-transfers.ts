import { create } from '@bufbuild/protobuf';
import { DataSchema, WindowUpdateSchema } from '../gen/containerd/types/transfer/transfer_pb.ts';
import type { Connection } from './connection.ts';
import { drain } from './drain.ts';
import { type MessageStream, openStream } from './streams.ts';
import { runTransfer, type TransferEnds, type TransferProgress } from './transfer.ts';

/** What containerd puts into one message. */
const chunkBytes = 32 * 1024;
const windowBytes = 1024 * 1024;

/** A transfer whose source is a stream of these bytes; `ends` gets the stream's id. Leaving the iteration early cancels it. */
export function upload(
  connection: Connection,
  purpose: string,
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
  ends: (stream: string) => TransferEnds,
): AsyncGenerator<TransferProgress, void, void> {
  return runTransfer(connection, signal, async (scope) => {
    const stream = await openStream(connection, purpose, scope.signal);
    void sendAll(stream, bytes).catch(scope.fail);
    return ends(stream.id);
  });
}

/** The bytes of a transfer whose destination is a stream; `ends` gets its id. Leaving the iteration early cancels it. */
export async function* download(
  connection: Connection,
  purpose: string,
  signal: AbortSignal | undefined,
  ends: (stream: string) => TransferEnds,
): AsyncGenerator<Uint8Array, void, void> {
  const opened = Promise.withResolvers<MessageStream>();
  opened.promise.catch(() => {});
  const left = new AbortController();
  const both = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]);
  const steps = runTransfer(connection, both, async () => {
    // It outlives the transfer, whose answer may come before the last bytes.
    const stream = await openStream(connection, purpose, both);
    opened.resolve(stream);
    return ends(stream.id);
  });
  const finished = drain(steps);
  finished.catch((error) => {
    opened.reject(error);
    left.abort();
  });
  try {
    yield* receiveAll(await opened.promise, finished);
    await finished;
  } catch (error) {
    await finished; // says what went wrong
    throw error;
  } finally {
    // Whoever leaves early cancels; at the end this closes the stream.
    left.abort();
    await finished.catch(() => {});
  }
}

/** Sends as the daemon grants windows, then ends the stream. */
async function sendAll(stream: MessageStream, archive: AsyncIterable<Uint8Array>): Promise<void> {
  const windows = stream.receive(WindowUpdateSchema)[Symbol.asyncIterator]();
  let window = 0;
  for await (const bytes of archive)
    for (let at = 0; at < bytes.byteLength; ) {
      while (window <= 0) {
        const next = await windows.next();
        if (next.done === true) return; // the daemon has what it needs, or says in its answer what is wrong
        window += next.value.update;
      }
      const data = bytes.slice(at, at + Math.min(chunkBytes, window));
      stream.send(DataSchema, create(DataSchema, { data }));
      window -= data.byteLength;
      at += data.byteLength;
    }
  await stream[Symbol.asyncDispose]();
}

/** containerd leaves the stream open when it has answered: then it is over when nothing more comes for so long. */
const silenceMs = 1_000;

async function* receiveAll(
  stream: MessageStream,
  answered: Promise<void>,
): AsyncGenerator<Uint8Array, void, void> {
  let isAnswered = false;
  let wake = () => {};
  answered.then(
    () => {
      isAnswered = true;
      wake();
    },
    () => {},
  );
  let granted = windowBytes;
  const grant = (update: number) => stream.send(WindowUpdateSchema, create(WindowUpdateSchema, { update }));
  grant(granted);
  const messages = stream.receive(DataSchema)[Symbol.asyncIterator]();
  for (;;) {
    const next = messages.next();
    if (!isAnswered) {
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      await Promise.race([next, promise]);
    }
    const message = isAnswered ? await unlessSilent(next) : await next;
    if (message === undefined || message.done === true) return;
    const { data } = message.value;
    yield data;
    granted -= data.byteLength;
    if (granted > windowBytes / 2) continue;
    grant(windowBytes);
    granted += windowBytes;
  }
}

/** What comes; undefined when nothing does. */
async function unlessSilent<T>(next: Promise<T>): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), silenceMs);
  next.catch(() => {});
  try {
    return await Promise.race([next, promise]);
  } finally {
    clearTimeout(timer);
  }
}

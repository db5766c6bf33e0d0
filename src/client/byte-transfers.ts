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
  const steps = runTransfer(connection, both, async (scope) => {
    const stream = await openStream(connection, purpose, scope.signal);
    opened.resolve(stream);
    return ends(stream.id);
  });
  let whole = false;
  const finished = drain(steps);
  finished.catch((error) => opened.reject(error));
  try {
    yield* receiveAll(await opened.promise);
    whole = true;
  } catch (error) {
    whole = true;
    await finished; // says what went wrong
    throw error;
  } finally {
    // Whoever leaves early cancels; after the last byte only the answer is to come.
    if (!whole) left.abort();
    await finished.catch(() => {});
  }
  await finished;
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

async function* receiveAll(stream: MessageStream): AsyncGenerator<Uint8Array, void, void> {
  let granted = windowBytes;
  const grant = (update: number) => stream.send(WindowUpdateSchema, create(WindowUpdateSchema, { update }));
  grant(granted);
  for await (const { data } of stream.receive(DataSchema)) {
    yield data;
    granted -= data.byteLength;
    if (granted > windowBytes / 2) continue;
    grant(windowBytes);
    granted += windowBytes;
  }
}

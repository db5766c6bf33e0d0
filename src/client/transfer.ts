import { type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { isKind } from '../errors/error.ts';
import { Namespaces } from '../gen/containerd/services/namespaces/v1/namespaces_pb.ts';
import { Transfer } from '../gen/containerd/services/transfer/v1/transfer_pb.ts';
import { ProgressSchema } from '../gen/containerd/types/transfer/transfer_pb.ts';
import type { Connection } from './connection.ts';
import { toSize } from './convert.ts';
import { type MessageStream, openStream } from './streams.ts';

/** One step of a transfer. `name` is the object (a reference, or `layer-sha256:…`), sizes are bytes, 0 when unknown. */
export interface TransferProgress {
  /** containerd's words: waiting, downloading, uploading, complete, extracting, extracted, saved, … or a sentence. */
  readonly event: string;
  readonly name: string;
  readonly parents: readonly string[];
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Of the object, where it has one. */
  readonly digest?: string;
}

/** What a transfer goes from and to, as the Transfer service takes it. */
export interface TransferEnds {
  readonly source: { typeUrl: string; value: Uint8Array<ArrayBuffer> };
  readonly destination: { typeUrl: string; value: Uint8Array<ArrayBuffer> };
}

/** Given to whoever opens the streams of a transfer: they end with `signal`, and `fail` ends everything. */
export interface TransferScope {
  readonly signal: AbortSignal;
  fail(error: unknown): void;
}

export const endOf = <D extends DescMessage>(schema: D, message: MessageShape<D>) => ({
  typeUrl: schema.typeName,
  value: toBinary(schema, message),
});

/**
 * Calls Transfer with a progress stream and yields what it tells; returns once the call has. `open` opens the streams
 * that the ends name. Leaving the iteration early cancels the transfer. @throws what Transfer answers
 */
export async function* runTransfer(
  connection: Connection,
  signal: AbortSignal | undefined,
  open: (scope: TransferScope) => Promise<TransferEnds>,
): AsyncGenerator<TransferProgress, void, void> {
  const stop = new AbortController();
  const failures: unknown[] = [];
  const both = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const fail = (error: unknown) => {
    failures.push(error);
    stop.abort();
  };
  try {
    await makeNamespace(connection, both);
    const progress = await openStream(connection, 'progress', both);
    const ends = await open({ signal: both, fail });
    const call = connection
      .service(Transfer)
      .transfer({ ...ends, options: { progressStream: progress.id } }, connection.stream({ signal: both }));
    const settled = call.then(
      () => stopSoon(stop, graceMs),
      (error: unknown) => {
        stopSoon(stop, failedGraceMs);
        throw error;
      },
    );
    settled.catch(() => {});
    yield* steps(progress, stop.signal);
    await settled;
  } catch (error) {
    throw failures[0] ?? error;
  } finally {
    stop.abort();
  }
}

/** containerd collects the streams of a namespace that it has no record of, as of one where nothing was ever made. */
async function makeNamespace(connection: Connection, signal: AbortSignal): Promise<void> {
  const namespace = { name: connection.namespace };
  try {
    await connection.service(Namespaces).create({ namespace }, connection.unary({ signal }));
  } catch (error) {
    if (!isKind(error, 'already_exists')) throw error;
  }
}

/** As long as the daemon waits for a client that is slow to read. */
const graceMs = 2_000;
/** A call that was refused has told nothing. */
const failedGraceMs = 100;

/** The daemon ends the streams itself, but its answer may come before their last messages; then they are dropped. */
function stopSoon(stop: AbortController, afterMs: number): void {
  setTimeout(() => stop.abort(), afterMs).unref();
}

/** Ends quietly when the stream does: whether the transfer went well is the Transfer call's to say. */
async function* steps(
  progress: MessageStream,
  stopped: AbortSignal,
): AsyncGenerator<TransferProgress, void, void> {
  try {
    for await (const step of progress.receive(ProgressSchema)) {
      yield {
        event: step.event,
        name: step.name,
        parents: step.parents,
        doneBytes: toSize(step.progress),
        totalBytes: toSize(step.total),
        ...(step.desc !== undefined && step.desc.digest !== '' && { digest: step.desc.digest }),
      };
    }
  } catch (error) {
    if (!stopped.aborted) throw error;
  }
}

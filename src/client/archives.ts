import { create } from '@bufbuild/protobuf';
import {
  DataSchema,
  ImageExportStreamSchema,
  ImageImportStreamSchema,
  ImageStoreSchema,
  WindowUpdateSchema,
} from '../gen/containerd/types/transfer/transfer_pb.ts';
import type { Platform } from '../oci/platform.ts';
import type { Connection } from './connection.ts';
import { toPlatform } from './convert.ts';
import { type MessageStream, openStream } from './streams.ts';
import { endOf, runTransfer, type TransferProgress } from './transfer.ts';

/** How to load an archive; `labels` go on the image records. */
export interface LoadOptions {
  /** Put before a name that is only a tag. Default: `import-<date>`. */
  readonly baseName?: string;
  /** Platforms to take; default: the daemon's own. */
  readonly platforms?: readonly Platform[];
  /** Snapshotter to unpack with; default: the daemon's; false: do not unpack. */
  readonly snapshotter?: string | false;
  readonly labels?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** How to save images. */
export interface SaveOptions {
  /** Platforms to take; default: the daemon's own; `all` needs all of them to be here. */
  readonly platforms?: readonly Platform[] | 'all';
  readonly signal?: AbortSignal;
}

/** What containerd puts into one message. */
const chunkBytes = 32 * 1024;
const windowBytes = 1024 * 1024;

/** Sends an archive by an import stream; an event `saved` names each image. Leaving the iteration early cancels it. */
export function loadArchive(
  connection: Connection,
  archive: AsyncIterable<Uint8Array>,
  options: LoadOptions,
): AsyncGenerator<TransferProgress, void, void> {
  return runTransfer(connection, options.signal, async ({ signal, fail }) => {
    const stream = await openStream(connection, 'import', signal);
    void sendAll(stream, archive).catch(fail);
    const source = create(ImageImportStreamSchema, { stream: stream.id });
    return {
      source: endOf(ImageImportStreamSchema, source),
      destination: endOf(ImageStoreSchema, storeOf(options)),
    };
  });
}

function storeOf({ baseName, labels, platforms = [], snapshotter = '' }: LoadOptions) {
  const name = baseName ?? `import-${new Date().toISOString().slice(0, 10)}`;
  const wanted = platforms.map(toPlatform);
  const unpacks = wanted.length === 0 ? [{}] : wanted.map((platform) => ({ platform }));
  return create(ImageStoreSchema, {
    labels: { ...labels },
    platforms: wanted,
    extraReferences: [
      {
        name,
        isPrefix: true,
        allowOverwrite: baseName === undefined,
        addDigest: true,
        skipNamedDigest: true,
      },
    ],
    unpacks: snapshotter === false ? [] : unpacks.map((unpack) => ({ ...unpack, snapshotter })),
  });
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

/**
 * The bytes of an archive with these images. Leaving the iteration early cancels the export.
 * @throws not_found (image, platform), invalid_argument (content that is not here), data_loss
 */
export async function* saveArchive(
  connection: Connection,
  names: readonly string[],
  { platforms = [], signal }: SaveOptions,
): AsyncGenerator<Uint8Array, void, void> {
  const opened = Promise.withResolvers<MessageStream>();
  opened.promise.catch(() => {});
  const steps = runTransfer(connection, signal, async (scope) => {
    const stream = await openStream(connection, 'export', scope.signal);
    opened.resolve(stream);
    return endsOf(names, platforms, stream.id);
  });
  const finished = drain(steps);
  finished.catch((error) => opened.reject(error));
  try {
    yield* receiveAll(await opened.promise);
  } catch (error) {
    await finished; // says what went wrong
    throw error;
  } finally {
    await steps.return();
  }
  await finished;
}

async function drain(steps: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of steps);
}

function endsOf(names: readonly string[], platforms: readonly Platform[] | 'all', stream: string) {
  const source = create(ImageStoreSchema, { extraReferences: names.map((name) => ({ name })) });
  const destination = create(ImageExportStreamSchema, {
    stream,
    allPlatforms: platforms === 'all',
    platforms: platforms === 'all' ? [] : platforms.map(toPlatform),
  });
  return {
    source: endOf(ImageStoreSchema, source),
    destination: endOf(ImageExportStreamSchema, destination),
  };
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

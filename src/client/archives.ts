import { create } from '@bufbuild/protobuf';
import {
  ImageExportStreamSchema,
  ImageImportStreamSchema,
  ImageStoreSchema,
} from '../gen/containerd/types/transfer/transfer_pb.ts';
import type { Platform } from '../oci/platform.ts';
import { download, upload } from './byte-transfers.ts';
import type { Connection } from './connection.ts';
import { toPlatform } from './convert.ts';
import { endOf, type TransferProgress } from './transfer.ts';

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

/** Sends an archive by an import stream; an event `saved` names each image. Leaving the iteration early cancels it. */
export function loadArchive(
  connection: Connection,
  archive: AsyncIterable<Uint8Array>,
  options: LoadOptions,
): AsyncGenerator<TransferProgress, void, void> {
  return upload(connection, 'import', archive, options.signal, (stream) => ({
    source: endOf(ImageImportStreamSchema, create(ImageImportStreamSchema, { stream })),
    destination: endOf(ImageStoreSchema, storeOf(options)),
  }));
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

/**
 * The bytes of an archive with these images. Leaving the iteration early cancels the export.
 * @throws not_found (image, platform), invalid_argument (content that is not here), data_loss
 */
export function saveArchive(
  connection: Connection,
  names: readonly string[],
  { platforms = [], signal }: SaveOptions,
): AsyncGenerator<Uint8Array, void, void> {
  return download(connection, 'export', signal, (stream) => endsOf(names, platforms, stream));
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

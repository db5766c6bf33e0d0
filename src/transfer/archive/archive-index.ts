import type { Context } from '../../async/context.ts';
import type { ContentStore } from '../../content/store.ts';
import { invalidArgument } from '../../errors/error.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { fieldOf, objectAt } from '../../oci/json-fields.ts';
import { type Index, manifestLimitBytes, parseManifest } from '../../oci/manifest.ts';
import { mediaTypes } from '../../oci/media-types.ts';
import { parseStrictJson } from '../../oci/strict-json.ts';
import type { ArchiveContents } from './contents.ts';
import { indexDockerArchive } from './docker-manifest.ts';
import { storeBytes } from './ingest.ts';
import { archiveFiles } from './layout.ts';

/**
 * The index of an archive, stored as a blob: its own where it is an OCI layout, else one made of Docker's list.
 * @throws invalid_argument (neither, or malformed)
 */
export async function indexOf(
  content: ContentStore,
  ctx: Context,
  contents: ArchiveContents,
  compress: boolean,
): Promise<{ index: Index; descriptor: Descriptor }> {
  const { documents } = contents;
  const bytes = documents.get(archiveFiles.index);
  const layout = documents.get(archiveFiles.layout);
  if (layout !== undefined) {
    checkLayout(layout);
    if (bytes === undefined) throw invalidArgument('archive: missing index.json in OCI layout 1.0.0');
    return storeIndex(content, ctx, bytes);
  }
  if (!documents.has(archiveFiles.dockerManifest))
    throw invalidArgument('archive: unrecognized image format, neither an OCI layout nor a docker-archive');
  const { mediaType, manifests } = await indexDockerArchive(content, ctx, contents, compress);
  return storeIndex(content, ctx, Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests })));
}

function checkLayout(bytes: Uint8Array): void {
  const layout = objectAt(
    parseStrictJson(bytes, manifestLimitBytes, archiveFiles.layout),
    archiveFiles.layout,
  );
  const version = fieldOf(layout, 'imageLayoutVersion');
  if (version !== '1.0.0')
    throw invalidArgument(
      `archive: unsupported OCI layout version ${JSON.stringify(version)?.slice(0, 100)}`,
    );
}

async function storeIndex(content: ContentStore, ctx: Context, bytes: Uint8Array) {
  const index = parseManifest(bytes, mediaTypes.ociIndex);
  if (index.kind !== 'index') throw invalidArgument(`archive: ${archiveFiles.index} is not an index`);
  // Its labels come when something holds it: children of platforms that are left out need not be here.
  const descriptor = { mediaType: index.mediaType, ...(await storeBytes(content, ctx, bytes)) };
  return { index, descriptor };
}

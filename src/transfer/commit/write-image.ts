import type { Context } from '../../async/context.ts';
import type { ContentStore } from '../../content/store.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { digestBytes } from '../../oci/digest.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { mediaTypes } from '../../oci/media-types.ts';
import { childLabels } from '../labels.ts';
import type { KeptLayer } from '../make-layer.ts';
import { putBlob } from '../put-blob.ts';
import type { BaseImage } from './base-image.ts';
import { applyChanges, type ProcessJson } from './image-changes.ts';

/** What is said about a new image. */
export interface CommitWords {
  readonly message?: string;
  readonly author?: string;
  /** Lines of a Dockerfile, e.g. `CMD ["sh"]`. */
  readonly changes?: readonly string[];
}

/** Of a layer without members: two blocks of zeros. */
const emptyDiffId = digestBytes(new Uint8Array(1024));

/** Writes config and manifest of an image that is `base` and one more layer; one that changes no file adds none. */
export async function writeImage(
  content: ContentStore,
  ctx: Context,
  { manifest, config }: BaseImage,
  layer: KeptLayer,
  words: CommitWords,
): Promise<Descriptor> {
  const isEmpty = layer.diffId === emptyDiffId;
  const configBytes = toBytes(nextConfig(JSON.parse(Buffer.from(config).toString()), layer, isEmpty, words));
  const isDocker = manifest.mediaType === mediaTypes.dockerManifest;
  const added = {
    ...layer.descriptor,
    mediaType: isDocker ? mediaTypes.dockerLayerGzip : mediaTypes.ociLayerGzip,
  };
  const configDescriptor = await putBlob(content, ctx, manifest.config.mediaType, configBytes);
  const document = {
    schemaVersion: 2,
    mediaType: manifest.mediaType,
    config: configDescriptor,
    layers: isEmpty ? manifest.layers : [...manifest.layers, added],
  };
  const bytes = toBytes(document);
  return putBlob(
    content,
    ctx,
    manifest.mediaType,
    bytes,
    childLabels(parseManifest(bytes, manifest.mediaType)),
  );
}

interface ConfigJson {
  readonly config?: ProcessJson | null;
  readonly history?: readonly object[] | null;
  readonly rootfs?: { readonly diff_ids?: readonly string[] };
}

function nextConfig(old: ConfigJson, { diffId }: KeptLayer, isEmpty: boolean, words: CommitWords): object {
  const { message = '', author = '', changes = [] } = words;
  const created = new Date().toISOString();
  const step = {
    created,
    ...(author !== '' && { author }),
    created_by: changes.length === 0 ? 'berth commit' : `berth commit: ${changes.join('; ')}`,
    ...(message !== '' && { comment: message }),
    ...(isEmpty && { empty_layer: true }),
  };
  return {
    ...old,
    created,
    ...(author !== '' && { author }),
    config: applyChanges(old.config ?? {}, changes),
    rootfs: { type: 'layers', diff_ids: [...(old.rootfs?.diff_ids ?? []), ...(isEmpty ? [] : [diffId])] },
    history: [...(old.history ?? []), step],
  };
}

const toBytes = (value: object): Uint8Array => Buffer.from(JSON.stringify(value));

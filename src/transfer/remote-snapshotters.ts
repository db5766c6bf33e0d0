import type { Digest } from '../oci/digest.ts';
import { platformMatcher } from '../oci/platform.ts';
import type { Work } from './bring-here.ts';
import type { TransferParts } from './parts.ts';
import { lowest, rankOfSilent } from './planned-image.ts';
import type { Layer, UnpackRequest } from './unpack-job.ts';

const prefix = 'containerd.io/snapshot/';
const maxLabelChars = 4096;

/**
 * What a remote snapshotter must know to fetch a layer by itself, under the names that containerd gives it
 * (remote-snapshotter.md): the image, its manifest, the layer and those above it, as far as a label holds them. Annotations of
 * the layer under the same prefix go along.
 */
export function remoteLabels(
  { remoteSnapshotters }: TransferParts,
  { snapshotter, reference, image }: UnpackRequest,
  { descriptor }: Layer,
): Record<string, string> {
  if (reference === undefined || !remoteSnapshotters?.has(snapshotter.name)) return {};
  const annotations = Object.entries(descriptor.annotations ?? {}).filter(([key]) => key.startsWith(prefix));
  const digests = image.document.layers.map(({ digest }) => digest);
  return {
    ...Object.fromEntries(annotations),
    [`${prefix}cri.image-ref`]: reference,
    [`${prefix}cri.manifest-digest`]: image.manifest.digest,
    [`${prefix}cri.layer-digest`]: descriptor.digest,
    [`${prefix}cri.image-layers`]: joined(
      digests.slice(digests.indexOf(descriptor.digest)),
      maxLabelChars - `${prefix}cri.image-layers`.length,
    ),
  };
}

function joined(digests: readonly Digest[], maxChars: number): string {
  let text = '';
  for (const digest of digests) {
    const longer = text === '' ? digest : `${text},${digest}`;
    if (longer.length > maxChars) break;
    text = longer;
  }
  return text;
}

/** Layers that may not be needed at all: all that is asked for is to unpack them where a remote snapshotter may have them. */
export function fetchedLater(
  { remoteSnapshotters, defaultSnapshotter }: TransferParts,
  { unpack, plan }: Work,
): Set<Digest> {
  const later = new Set<Digest>();
  if (unpack.some(({ snapshotter }) => !remoteSnapshotters?.has(snapshotter || defaultSnapshotter)))
    return later;
  for (const { platform } of unpack) {
    const matcher = platformMatcher(platform);
    const image = lowest(plan.images, (one) => rankOfSilent(one.platform, matcher));
    for (const { digest } of image?.document.layers ?? []) later.add(digest);
  }
  return later;
}

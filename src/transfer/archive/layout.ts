import { posix } from 'node:path';
import type { Descriptor } from '../../oci/descriptor.ts';
import { algorithmOf, type Digest, hexOf, isDigest } from '../../oci/digest.ts';

/** Names inside an OCI image layout (image-spec image-layout.md) and a docker-archive. */
export const archiveFiles = {
  layout: 'oci-layout',
  index: 'index.json',
  /** Docker's own list of images, beside a layout or instead of one. */
  dockerManifest: 'manifest.json',
} as const;

/** Annotations that name an image inside an archive: containerd's whole name, OCI's tag. */
export const nameAnnotations = {
  imageName: 'io.containerd.image.name',
  refName: 'org.opencontainers.image.ref.name',
} as const;

/** `blobs/sha256/<hex>`. */
export const blobPath = (digest: Digest): string => `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;

/** The digest that a path of a layout promises; undefined for any other path. */
export function findBlobDigest(path: string): Digest | undefined {
  const match = /^blobs\/([a-z0-9]+)\/([a-f0-9]+)$/.exec(path);
  const digest = `${match?.[1]}:${match?.[2]}`;
  return isDigest(digest) ? digest : undefined;
}

/** A member's name as others refer to it: no leading `./` or `/`, no `.` or `..` inside. */
export const cleanPath = (path: string): string => posix.normalize(`/${path}`).slice(1);

/** A descriptor with the annotations that name it. */
export function nameDescriptor(descriptor: Descriptor, name: string): Descriptor {
  const refName = /^[^@]*:([^:/@]+)$/.exec(name)?.[1] ?? name;
  const names = { [nameAnnotations.imageName]: name, [nameAnnotations.refName]: refName };
  return { ...descriptor, annotations: { ...descriptor.annotations, ...names } };
}

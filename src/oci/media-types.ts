/** Media types of image-spec 1.1 and Docker's schema 2, as descriptors and registries carry them. */
export const mediaTypes = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociEmpty: 'application/vnd.oci.empty.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar',
  ociLayerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  ociLayerZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  ociForeignLayer: 'application/vnd.oci.image.layer.nondistributable.v1.tar',
  ociForeignLayerGzip: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  ociForeignLayerZstd: 'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar',
  dockerLayerGzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  dockerLayerZstd: 'application/vnd.docker.image.rootfs.diff.tar.zstd',
  dockerForeignLayer: 'application/vnd.docker.image.rootfs.foreign.diff.tar',
  dockerForeignLayerGzip: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  /** Refused everywhere; named so that the refusal can say what it was. */
  dockerSchema1: 'application/vnd.docker.distribution.manifest.v1+json',
  dockerSchema1Signed: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
  /** containerd's, of a container's checkpoint: criu's images, its specification (an Any), options of its runtime (an Any). */
  criuImages: 'application/vnd.containerd.container.criu.checkpoint.criu.tar',
  checkpointSpec: 'application/vnd.containerd.container.checkpoint.config.v1+proto',
  checkpointRuntimeOptions: 'application/vnd.containerd.container.checkpoint.runtime.options+proto',
} as const;

/** How the bytes of a layer blob are packed around its tar. */
export type LayerCompression = 'none' | 'gzip' | 'zstd';

const manifests = new Set<string>([mediaTypes.ociManifest, mediaTypes.dockerManifest]);
const indexes = new Set<string>([mediaTypes.ociIndex, mediaTypes.dockerIndex]);
const configs = new Set<string>([mediaTypes.ociConfig, mediaTypes.dockerConfig]);
const layers = new Map<string, LayerCompression>([
  [mediaTypes.ociLayer, 'none'],
  [mediaTypes.ociLayerGzip, 'gzip'],
  [mediaTypes.ociLayerZstd, 'zstd'],
  [mediaTypes.ociForeignLayer, 'none'],
  [mediaTypes.ociForeignLayerGzip, 'gzip'],
  [mediaTypes.ociForeignLayerZstd, 'zstd'],
  [mediaTypes.dockerLayer, 'none'],
  [mediaTypes.dockerLayerGzip, 'gzip'],
  [mediaTypes.dockerLayerZstd, 'zstd'],
  [mediaTypes.dockerForeignLayer, 'none'],
  [mediaTypes.dockerForeignLayerGzip, 'gzip'],
]);

/** What to send as `Accept` when asking a registry for a manifest. */
export const manifestAccept: readonly string[] = [...manifests, ...indexes];

/** A media type without parameters (`; charset=…`) and case, '' for undefined. */
export const bareMediaType = (mediaType: string | undefined): string =>
  (mediaType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';

export const isManifestType = (mediaType: string): boolean => manifests.has(mediaType);
export const isIndexType = (mediaType: string): boolean => indexes.has(mediaType);
export const isConfigType = (mediaType: string): boolean => configs.has(mediaType);
export const isLayerType = (mediaType: string): boolean => layers.has(mediaType);
/** Also layers that are packed in a way Berth does not know, such as encrypted ones. */
export const isAnyLayerType = (mediaType: string): boolean =>
  /^application\/vnd\.(oci\.image\.layer|docker\.image\.rootfs)\./.test(mediaType);
/** Layers that may only be fetched from where they come from (Windows' base layers). */
export const isNonDistributable = (mediaType: string): boolean =>
  /\.(?:nondistributable|foreign)\./.test(mediaType);
/** Docker's schema 1, which nobody should run any more. */
export const isSchema1Type = (mediaType: string): boolean =>
  mediaType === mediaTypes.dockerSchema1 || mediaType === mediaTypes.dockerSchema1Signed;
/** Compression of a layer type, undefined when it is not a layer of a tar. */
export const findLayerCompression = (mediaType: string): LayerCompression | undefined =>
  layers.get(mediaType);

import { invalidArgument } from '../errors/error.ts';
import { findLayerCompression, type LayerCompression, mediaTypes } from '../oci/media-types.ts';

/** Media type of what a layer is once inflated. */
export const uncompressedLayerType = mediaTypes.ociLayer;

/**
 * How a layer of this media type is compressed. Docker's plain tar type has been used for gzip too, so it answers
 * undefined: the bytes decide. @throws invalid_argument when it is not a layer type Berth can apply
 */
export function compressionOf(mediaType: string): LayerCompression | undefined {
  if (mediaType === mediaTypes.dockerLayer) return undefined;
  const compression = findLayerCompression(mediaType);
  if (compression === undefined)
    throw invalidArgument(`unsupported layer media type ${JSON.stringify(mediaType.slice(0, 200))}`);
  return compression;
}

/** How bytes are compressed, by their first four. @throws invalid_argument on xz and bzip2, which no layer type has */
export function sniffCompression(head: Buffer): LayerCompression {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  if (head.length < 4) return 'none';
  const magic = head.readUInt32LE(0);
  if (magic === 0xfd2fb528 || magic >>> 4 === 0x184d2a5) return 'zstd';
  if (head.toString('latin1', 1, 4) === '7zX' || head.toString('latin1', 0, 3) === 'BZh')
    throw invalidArgument('unsupported layer compression (xz or bzip2)');
  return 'none';
}

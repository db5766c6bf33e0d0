import { fromBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import type { Context } from '../../async/context.ts';
import { failedPrecondition, invalidArgument } from '../../errors/error.ts';
import type { Any } from '../../oci/any.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { manifestLimitBytes, parseManifest } from '../../oci/manifest.ts';
import { isLayerType, mediaTypes } from '../../oci/media-types.ts';
import { readBlob } from '../blobs.ts';
import type { TransferParts } from '../parts.ts';
import { checkpointAnnotations } from './checkpoint-image.ts';

/** What a container can be made of again. */
export interface Checkpoint {
  /** Name of the image that the container stood on. */
  readonly image: string;
  readonly runtime: string;
  readonly runtimeOptions: Any | undefined;
  readonly spec: Any;
  /** criu's images; undefined: no task was in it. */
  readonly processes: Descriptor | undefined;
  /** What the container had written. */
  readonly layer: Descriptor | undefined;
}

const anyLimitBytes = 4 * 1024 * 1024;

/** Reads a checkpoint by the name of its image record. @throws not_found, failed_precondition (it is none) */
export async function readCheckpoint(parts: TransferParts, ctx: Context, name: string): Promise<Checkpoint> {
  const { target } = await parts.images.get(ctx, name);
  const read = (one: Descriptor, limit: number) => readBlob(parts.content, ctx, one, limit);
  const index = parseManifest(await read(target, manifestLimitBytes), target.mediaType);
  const children = index.kind === 'index' ? index.manifests : [];
  const find = (mediaType: string) => children.find((child) => child.mediaType === mediaType);
  const any = async (child: Descriptor) => decodeAny(await read(child, anyLimitBytes));
  const spec = find(mediaTypes.checkpointSpec);
  const options = find(mediaTypes.checkpointRuntimeOptions);
  const { [checkpointAnnotations.image]: image = '', [checkpointAnnotations.runtime]: runtime = '' } =
    index.annotations ?? {};
  if (spec === undefined || image === '')
    throw failedPrecondition(`image ${name} is no checkpoint of a container`);
  return {
    image,
    runtime,
    runtimeOptions: options && (await any(options)),
    spec: await any(spec),
    processes: find(mediaTypes.criuImages),
    layer: children.find(({ mediaType }) => isLayerType(mediaType)),
  };
}

function decodeAny(bytes: Uint8Array): Any {
  try {
    const { typeUrl, value } = fromBinary(AnySchema, bytes);
    return { typeUrl, value };
  } catch (error) {
    throw invalidArgument('a part of the checkpoint cannot be decoded', error);
  }
}

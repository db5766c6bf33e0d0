import type { MessageInitShape } from '@bufbuild/protobuf';
import { invalidArgument } from '../errors/error.ts';
import type { DescriptorSchema, Descriptor as Wire } from '../gen/containerd/types/types_pb.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { parseDigest } from '../oci/digest.ts';

/** int64 ▶ number. @throws invalid_argument when it is not a safe integer */
export function toSafeNumber(value: bigint, what: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < -BigInt(Number.MAX_SAFE_INTEGER)) {
    throw invalidArgument(`${what} ${value} is out of range`);
  }
  return Number(value);
}

/** @throws invalid_argument (digest, size) */
export function fromWireDescriptor({ mediaType, digest, size, annotations }: Wire): Descriptor {
  return {
    mediaType,
    digest: parseDigest(digest),
    // Which negative number it is does not matter to whoever refuses it.
    size: size < 0n ? -1 : toSafeNumber(size, 'size'),
    ...(Object.keys(annotations).length > 0 && { annotations }),
  };
}

export const toWireDescriptor = (descriptor: Descriptor): MessageInitShape<typeof DescriptorSchema> => ({
  mediaType: descriptor.mediaType,
  digest: descriptor.digest,
  size: BigInt(descriptor.size),
  annotations: { ...descriptor.annotations },
});

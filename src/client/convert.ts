import { type Timestamp, timestampDate, type Any as WireAny } from '@bufbuild/protobuf/wkt';
import { dataLoss } from '../errors/error.ts';
import type {
  Descriptor as WireDescriptor,
  Platform as WirePlatform,
} from '../gen/containerd/types/types_pb.ts';
import type { Any } from '../oci/any.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import type { Platform } from '../oci/platform.ts';

/** A point in time off the wire; the epoch where the daemon sent none. */
export const toDate = (timestamp: Timestamp | undefined): Date =>
  timestamp === undefined ? new Date(0) : timestampDate(timestamp);

/** A number of bytes off the wire. @throws data_loss above 2^53-1, which no real size reaches */
export function toSize(value: bigint): number {
  const size = Number(value);
  if (!Number.isSafeInteger(size)) throw dataLoss(`daemon sent the impossible size ${value}`);
  return size;
}

/** @throws invalid_argument */
export const toDigest = (text: string): Digest => parseDigest(text);

/** A typed value off the wire, undefined where the daemon sent none. */
export const fromAny = (any: WireAny | undefined): Any | undefined =>
  any === undefined ? undefined : { typeUrl: any.typeUrl, value: any.value };

/** @throws data_loss when the daemon sent no descriptor */
export function fromDescriptor(wire: WireDescriptor | undefined): Descriptor {
  if (wire === undefined) throw dataLoss('daemon sent an image without a target');
  return {
    mediaType: wire.mediaType,
    digest: toDigest(wire.digest),
    size: toSize(wire.size),
    ...(Object.keys(wire.annotations).length > 0 ? { annotations: { ...wire.annotations } } : {}),
  };
}

/** A descriptor for the wire. */
export const toDescriptor = (descriptor: Descriptor) => ({
  mediaType: descriptor.mediaType,
  digest: descriptor.digest,
  size: BigInt(descriptor.size),
  annotations: { ...descriptor.annotations },
});

/** A platform for the wire, with empty fields for what it leaves out. */
export const toPlatform = (platform: Platform) => ({
  os: platform.os,
  architecture: platform.architecture,
  variant: platform.variant ?? '',
  osVersion: platform.osVersion ?? '',
  osFeatures: [...(platform.osFeatures ?? [])],
});

/** A platform off the wire, without its empty fields. */
export const fromPlatform = (wire: WirePlatform): Platform => ({
  os: wire.os,
  architecture: wire.architecture,
  ...(wire.variant === '' ? {} : { variant: wire.variant }),
  ...(wire.osVersion === '' ? {} : { osVersion: wire.osVersion }),
});

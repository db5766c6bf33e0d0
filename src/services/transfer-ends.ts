import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import { type BerthError, invalidArgument, messageOf, unknown } from '../errors/error.ts';
import {
  type ContainerPath,
  ContainerPathSchema,
  type ImageExportStream,
  ImageExportStreamSchema,
  type ImageImportStream,
  ImageImportStreamSchema,
  type ImageStore,
  ImageStoreSchema,
  type OCIRegistry,
  OCIRegistrySchema,
  type ReadStream,
  ReadStreamSchema,
  type WriteStream,
  WriteStreamSchema,
} from '../gen/containerd/types/transfer/transfer_pb.ts';
import type { Platform as WirePlatform } from '../gen/containerd/types/types_pb.ts';
import type { Any } from '../oci/any.ts';
import { normalizePlatform, type Platform } from '../oci/platform.ts';
import { typeNameOf } from '../rpc/any.ts';
import type { NamePrefix } from '../transfer/archive/names.ts';

export interface RegistryEnd {
  readonly kind: 'registry';
  readonly message: OCIRegistry;
  readonly label: string;
}

export interface ImageStoreEnd {
  readonly kind: 'image store';
  readonly message: ImageStore;
  readonly label: string;
}

/** An archive on its way from the client. */
export interface ImportEnd {
  readonly kind: 'import stream';
  readonly message: ImageImportStream;
  readonly label: string;
}

/** An archive on its way to the client. */
export interface ExportEnd {
  readonly kind: 'export stream';
  readonly message: ImageExportStream;
  readonly label: string;
}

/** Bytes on their way from the client. */
export interface ReadEnd {
  readonly kind: 'read stream';
  readonly message: ReadStream;
  readonly label: string;
}

/** Bytes on their way to the client. */
export interface WriteEnd {
  readonly kind: 'write stream';
  readonly message: WriteStream;
  readonly label: string;
}

/** A path in a container. */
export interface ContainerPathEnd {
  readonly kind: 'container path';
  readonly message: ContainerPath;
  readonly label: string;
}

/** What a Transfer goes from or to. `label` is how containerd calls it in messages. */
export type TransferEnd =
  | RegistryEnd
  | ImageStoreEnd
  | ImportEnd
  | ExportEnd
  | ReadEnd
  | WriteEnd
  | ContainerPathEnd
  | { readonly kind: 'other'; readonly label: string };

/** @throws unknown (a type that nobody knows), invalid_argument (bytes that cannot be decoded) */
export function parseEnd(any: Any | undefined, role: 'source' | 'destination'): TransferEnd {
  if (any === undefined) throw unknownType('');
  switch (typeNameOf(any.typeUrl)) {
    case OCIRegistrySchema.typeName: {
      const message = decode(OCIRegistrySchema, any, role);
      return { kind: 'registry', message, label: `OCI Registry (${message.reference})` };
    }
    case ImageStoreSchema.typeName: {
      const message = decode(ImageStoreSchema, any, role);
      return { kind: 'image store', message, label: `Local Image Store (${message.name})` };
    }
    case ImageImportStreamSchema.typeName: {
      const message = decode(ImageImportStreamSchema, any, role);
      return { kind: 'import stream', message, label: 'Import Stream' };
    }
    case ImageExportStreamSchema.typeName: {
      const message = decode(ImageExportStreamSchema, any, role);
      return { kind: 'export stream', message, label: 'Export Stream' };
    }
    case ReadStreamSchema.typeName:
      return { kind: 'read stream', message: decode(ReadStreamSchema, any, role), label: 'Read Stream' };
    case WriteStreamSchema.typeName:
      return { kind: 'write stream', message: decode(WriteStreamSchema, any, role), label: 'Write Stream' };
    case ContainerPathSchema.typeName: {
      const message = decode(ContainerPathSchema, any, role);
      return {
        kind: 'container path',
        message,
        label: `Container Path (${message.containerId}:${message.path})`,
      };
    }
    default:
      if (!typeNameOf(any.typeUrl).startsWith('containerd.')) throw unknownType(any.typeUrl);
      return { kind: 'other', label: any.typeUrl };
  }
}

/** containerd's words, and its kind: it says no more of a type that it was not built with. */
const unknownType = (typeUrl: string): BerthError =>
  unknown(`type with url ${typeUrl.slice(0, 200)}: not found`);

function decode<D extends DescMessage>(schema: D, { value }: Any, role: string): MessageShape<D> {
  try {
    return fromBinary(schema, value);
  } catch (error) {
    throw invalidArgument(`transfer ${role}: ${messageOf(error)}`, error);
  }
}

/** Names to record an image under; `{digest}` stands for its digest. A prefix alone names nothing. */
export function namesOf({ name, extraReferences }: ImageStore): string[] {
  const extra = extraReferences
    .filter(({ isPrefix, addDigest }) => !isPrefix || addDigest)
    .map((reference) => (reference.addDigest ? `${reference.name}@{digest}` : reference.name));
  return name === '' ? extra : [name, ...extra];
}

/** How the images of an archive are to be named. */
export const prefixesOf = ({ extraReferences }: ImageStore): NamePrefix[] =>
  extraReferences
    .filter(({ isPrefix }) => isPrefix)
    .map(({ name, allowOverwrite, addDigest, skipNamedDigest }) => ({
      prefix: name,
      allowOverwrite,
      addDigest,
      skipNamedDigest,
    }));

/**
 * Platforms to fetch. None means all, as in containerd, unless an unpack is asked for without a platform: that is a
 * client which leaves the choice to the daemon.
 */
export function platformsOf({ platforms, unpacks }: ImageStore): Platform[] | 'all' | undefined {
  if (platforms.length > 0) return platforms.map(fromWirePlatform);
  return unpacks.some(({ platform }) => platform === undefined) ? undefined : 'all';
}

export function unpacksOf(
  { unpacks }: ImageStore,
  own: Platform,
): { snapshotter: string; platform: Platform }[] {
  return unpacks.map(({ snapshotter, platform }) => ({
    snapshotter,
    platform: platform === undefined ? own : fromWirePlatform(platform),
  }));
}

/** A platform as clients write it, in its normal form. */
export function fromWirePlatform({
  os,
  architecture,
  variant,
  osVersion,
  osFeatures,
}: WirePlatform): Platform {
  return normalizePlatform({
    os,
    architecture,
    ...(variant !== '' && { variant }),
    ...(osVersion !== '' && { osVersion }),
    ...(osFeatures.length > 0 && { osFeatures }),
  });
}

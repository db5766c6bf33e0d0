import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import { invalidArgument, messageOf } from '../errors/error.ts';

/** What a type URL names: `containerd.events.TaskExit`, with or without a host part such as `type.googleapis.com/`. */
export const typeNameOf = (typeUrl: string): string => typeUrl.slice(typeUrl.lastIndexOf('/') + 1);

/** A typed value in the shape that generated messages take; the bytes are not copied. */
export const toAny = (any: {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}): { typeUrl: string; value: Uint8Array<ArrayBuffer> } => ({
  typeUrl: any.typeUrl,
  value: any.value as Uint8Array<ArrayBuffer>,
});

/** A typed value as a message; undefined when it is of another type. @throws invalid_argument (malformed) */
export function decodeAny<D extends DescMessage>(
  schema: D,
  { typeUrl, value }: { readonly typeUrl: string; readonly value: Uint8Array },
): MessageShape<D> | undefined {
  if (typeNameOf(typeUrl) !== schema.typeName) return undefined;
  try {
    return fromBinary(schema, value);
  } catch (error) {
    throw invalidArgument(`malformed ${schema.name}: ${messageOf(error)}`, error);
  }
}

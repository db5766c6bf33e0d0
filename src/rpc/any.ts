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

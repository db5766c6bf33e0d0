import type { Context } from '../async/context.ts';
import type { ContentStore } from '../content/store.ts';
import { isKind } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestBytes } from '../oci/digest.ts';
import { addLabels } from './blobs.ts';
import { refKey } from './labels.ts';

/** Keeps a small document; one that is here already gets the labels it lacks. */
export async function putBlob(
  content: ContentStore,
  ctx: Context,
  mediaType: string,
  bytes: Uint8Array,
  labels: Readonly<Record<string, string>> = {},
): Promise<Descriptor> {
  const descriptor = { mediaType, digest: digestBytes(bytes), size: bytes.length };
  const { digest } = descriptor;
  try {
    await using writer = await content.writer(ctx, {
      ref: refKey(descriptor),
      total: bytes.length,
      expected: digest,
    });
    if (writer.status.offset > 0) await writer.truncate(0);
    await writer.write(bytes);
    await writer.commit({ sizeBytes: bytes.length, expected: digest, labels });
  } catch (error) {
    if (!isKind(error, 'already_exists')) throw error;
    await addLabels(content, ctx, digest, labels);
  }
  return descriptor;
}

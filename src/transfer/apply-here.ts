import type { Context } from '../async/context.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Mount } from '../snapshots/snapshotter.ts';
import type { TransferParts } from './parts.ts';
import { writeLayer } from './write-layer.ts';

/** Writes a layer that is content onto the mounts of an active snapshot. @throws not_found, as writeLayer */
export async function applyHere(
  { content, applyTarget }: TransferParts,
  ctx: Context,
  { mediaType, digest }: Descriptor,
  mounts: readonly Mount[],
): Promise<void> {
  await using reader = await content.reader(ctx, digest);
  await using written = await writeLayer(applyTarget, {
    from: reader,
    mediaType,
    mounts,
    limits: {},
    signal: ctx.signal,
  });
  await written.finish([]);
}

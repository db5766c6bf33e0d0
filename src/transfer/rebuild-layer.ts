import type { Context } from '../async/context.ts';
import { dataLoss } from '../errors/error.ts';
import { type ApplyRequest, applyLayer, finishApplied } from '../layers/apply.ts';
import type { DiffId } from '../oci/digest.ts';
import { mediaTypes } from '../oci/media-types.ts';
import type { LayerFileTarget } from '../snapshots/apply-target.ts';

/** A layer file to make out of the blob of a layer. */
export interface LayerToRebuild {
  readonly source: ApplyRequest['source'];
  readonly target: Pick<LayerFileTarget, 'path' | 'lower' | 'lowest'>;
  /** Whether this is the layer that belongs there. */
  readonly isIt: (diffId: DiffId) => boolean;
}

/**
 * Makes a layer file again that was made before. Not adopted yet. @throws data_loss (it is another layer),
 * failed_precondition (it is none that can be one file), what applyLayer throws
 */
export async function rebuildLayer(
  { signal }: Context,
  { source, target, isIt }: LayerToRebuild,
): Promise<void> {
  const { path: layerFile, lower, lowest } = target;
  // A type under which the bytes themselves tell how they are compressed.
  const mediaType = mediaTypes.dockerLayer;
  const { diffId, unfinished, inodes } = await applyLayer({
    source,
    mediaType,
    to: { layerFile, lowest },
    signal,
  });
  if (!isIt(diffId)) throw dataLoss(`its blob unpacks to another layer: ${diffId}`);
  if (unfinished !== undefined)
    await finishApplied({ finish: 'layer-file', path: layerFile, lower, unfinished }, inodes);
}

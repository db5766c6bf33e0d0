import type { Context } from '../async/context.ts';
import type { ContentReader } from '../content/store.ts';
import { applyLayer, finishApplied } from '../layers/apply.ts';
import type { DiffId } from '../oci/digest.ts';
import { mediaTypes } from '../oci/media-types.ts';
import type { LayerFileTarget } from '../snapshots/apply-target.ts';
import { sourceOf } from './write-layer.ts';

/**
 * Makes a layer file again that was made before, out of its blob. Not adopted yet, for whoever knows which layer it must be.
 * @throws failed_precondition (it is none that can be one file), what applyLayer throws
 */
export async function rebuildLayer(
  { signal }: Context,
  from: ContentReader,
  { path: layerFile, lower, lowest }: LayerFileTarget,
): Promise<DiffId> {
  const { diffId, unfinished, inodes } = await applyLayer({
    source: sourceOf(from),
    // A type under which the bytes themselves tell how they are compressed.
    mediaType: mediaTypes.dockerLayer,
    to: { layerFile, lowest },
    signal,
  });
  if (unfinished !== undefined)
    await finishApplied({ finish: 'layer-file', path: layerFile, lower, unfinished }, inodes);
  return diffId;
}

import type { Context } from '../../async/context.ts';
import { failedPrecondition, isKind } from '../../errors/error.ts';
import type { ContainerStore } from '../../metadata/container-store.ts';
import type { Image } from '../../metadata/image-store.ts';
import type { Any } from '../../oci/any.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { mediaTypes } from '../../oci/media-types.ts';
import { containerLayer } from '../container-layer.ts';
import { localDocuments } from '../documents.ts';
import { childLabels } from '../labels.ts';
import { withLease } from '../lease.ts';
import type { TransferParts } from '../parts.ts';
import { planImages } from '../plan.ts';
import { putBlob } from '../put-blob.ts';
import { recordImage } from '../record.ts';
import { snapshotterOf } from '../unpack.ts';
import { type Pausing, whilePaused } from '../while-paused.ts';
import { type CheckpointFiles, type Dumper, putAny } from './checkpoint-files.ts';

/** A checkpoint to be made of a container. */
export interface CheckpointRequest {
  readonly containerId: string;
  /** Name of the image record; one of that name is replaced. */
  readonly name: string;
  /** containerd.runc.v1.CheckpointOptions. */
  readonly options?: Any | undefined;
}

/** What a checkpoint needs beside the transfer parts. */
export interface CheckpointParts {
  readonly containers: Pick<ContainerStore, 'get'>;
  readonly tasks: Pausing & Dumper;
  readonly files: CheckpointFiles;
}

/** containerd's annotations of a checkpoint's index, which its clients restore by. */
export const checkpointAnnotations = {
  image: 'org.opencontainers.image.ref.name',
  runtime: 'io.containerd.checkpoint.runtime',
  snapshotter: 'io.containerd.checkpoint.snapshotter',
} as const;

/**
 * Makes an image that a running container can be restored from: its processes, what it has written, its image, its
 * specification and runtime; laid out as `ctr containers checkpoint` does. The container is paused meanwhile.
 * @throws not_found, failed_precondition (no image, snapshot or specification; not running; no criu), unknown (criu)
 */
export function checkpointContainer(
  parts: TransferParts,
  { containers, tasks, files }: CheckpointParts,
  ctx: Context,
  request: CheckpointRequest,
): Promise<Image> {
  return withLease(parts.leases, ctx, async (leased) => {
    const { id, spec, runtime, image, ...container } = await containers.get(leased, request.containerId);
    if (spec === undefined || image === '' || container.snapshotKey === '')
      throw failedPrecondition(`container ${id} has no image, snapshot or specification`);
    const snapshotter = snapshotterOf(parts, container.snapshotter);
    const manifests: Descriptor[] = [await manifestOf(parts, leased, image)];
    await whilePaused(tasks, leased, request, async () => {
      manifests.push(...(await files.save(leased, tasks, id, spec, request.options)));
      const { descriptor } = await containerLayer(parts.content, leased, snapshotter, container.snapshotKey);
      manifests.push(descriptor);
    });
    const { options } = runtime;
    if (options !== undefined)
      manifests.push(await putAny(parts.content, leased, mediaTypes.checkpointRuntimeOptions, options));
    const annotations = {
      [checkpointAnnotations.image]: image,
      [checkpointAnnotations.runtime]: runtime.name,
      [checkpointAnnotations.snapshotter]: snapshotter.name,
    };
    const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests, annotations };
    const bytes = Buffer.from(JSON.stringify(index));
    const labels = childLabels(parseManifest(bytes, mediaTypes.ociIndex));
    const descriptor = await putBlob(parts.content, leased, mediaTypes.ociIndex, bytes, labels);
    return recordImage(parts.images, leased, {
      name: request.name,
      labels: { 'containerd.io/checkpoint': 'true' },
      target: descriptor,
    });
  });
}

/** The image of this machine's platform: an index may list others, which are seldom here, and no registry takes half of it. */
async function manifestOf(parts: TransferParts, ctx: Context, name: string): Promise<Descriptor> {
  const { target } = await parts.images.get(ctx, name);
  try {
    const options = { platforms: [parts.platform], name };
    const { images } = await planImages(localDocuments(parts), ctx, target, options);
    return images[0]?.manifest ?? target;
  } catch (error) {
    if (isKind(error, 'not_found')) return target;
    throw error;
  }
}

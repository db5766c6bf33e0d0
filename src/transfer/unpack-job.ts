import type { Descriptor } from '../oci/descriptor.ts';
import type { ChainId, DiffId } from '../oci/digest.ts';
import type { Snapshotter } from '../snapshots/snapshotter.ts';
import type { Differ } from './differ.ts';
import type { GrowingBlob } from './growing-blob.ts';
import type { PlannedImage } from './planned-image.ts';
import type { Customer } from './progress.ts';

/** An image to unpack. */
export interface UnpackRequest {
  readonly image: PlannedImage;
  readonly snapshotter: Snapshotter;
  readonly customer: Customer;
  /** Where the image comes from; a remote snapshotter fetches from there by itself. */
  readonly reference?: string;
  /** Asks for the blob of a layer where nobody has yet. */
  readonly bring: (layer: Descriptor) => Arrival;
}

export interface UnpackJob extends UnpackRequest {
  /** What applies the layers, if not Berth itself. */
  readonly differ: Differ | undefined;
}

/** A blob that is on its way to the content store. */
export interface Arrival {
  /** Resolves when it is there. */
  readonly whole: Promise<unknown>;
  /** Its file while it comes; stays open where there is none. Absent where there will be none. */
  readonly growing?: Promise<GrowingBlob>;
}

/** One layer of an image, and where it stands in the stack. */
export interface Layer {
  readonly descriptor: Descriptor;
  readonly manifest: Descriptor;
  readonly diffId: DiffId;
  readonly chainId: ChainId;
  /** Chain ID of the layer below, '' for the base. */
  readonly parent: string;
}

/** Can it take layers all at once, each in a snapshot without a parent, or must one be committed before the next? */
export const rebases = ({ snapshotter: { capabilities = [] }, differ }: UnpackJob): boolean =>
  differ === undefined && capabilities.includes('rebase');

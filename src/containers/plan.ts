import type { Image } from '../metadata/image-store.ts';
import type { Snapshotter } from '../snapshots/snapshotter.ts';
import type { NewContainerOfImage } from './containers.ts';

/** A container to be made: everything is decided but what lies in the image. */
export interface Plan {
  readonly namespace: string;
  readonly id: string;
  readonly name: string;
  readonly image: Image;
  readonly snapshotter: Snapshotter;
  /** '' when no logs are kept. */
  readonly logUri: string;
  readonly wanted: NewContainerOfImage;
}

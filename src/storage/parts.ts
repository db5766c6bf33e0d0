import type { Context } from '../async/context.ts';
import type { Containers } from '../containers/containers.ts';
import type { ContentReader } from '../content/store.ts';
import type { Metadata } from '../metadata/metadata.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { DiffId } from '../oci/digest.ts';
import type { LayerFileTarget } from '../snapshots/apply-target.ts';

/** What storage is asked about, and who helps to put it right. */
export interface StorageParts {
  /** The data root. */
  readonly root: string;
  readonly metadata: Metadata;
  readonly containers: Pick<Containers, 'remove'>;
  readonly tasks: TaskList;
  /** The bytes of a blob out of the repository of an image, as `host/path`. */
  readonly fetch: (ctx: Context, repository: string, descriptor: Descriptor) => AsyncIterable<Uint8Array>;
  /** Unpacks a blob to a layer file, which is not adopted. @returns which layer it is */
  readonly rebuildLayer: (ctx: Context, from: ContentReader, target: LayerFileTarget) => Promise<DiffId>;
}

/** The tasks of the context's namespace. */
export interface TaskList {
  list(ctx: Context): Promise<readonly { readonly containerId: string; readonly status: string }[]>;
}

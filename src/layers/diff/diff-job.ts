import type { MessagePort } from 'node:worker_threads';
import type { LayerCompression } from '../../oci/media-types.ts';
import type { ErrorMessage } from '../worker-messages.ts';

/** What goes to a diff worker. Everything is structured-clone safe. */
export interface DiffJob {
  /** Directory of the old tree; undefined: everything is new. */
  readonly left: string | undefined;
  readonly right: string;
  /** Set when `right` is an upperdir over `left`: its attribute of opaque directories. */
  readonly opaqueXattr: string | undefined;
  readonly compression: LayerCompression;
  readonly latestNs: bigint | undefined;
  /** Where the bytes go; the other side posts `null` for each chunk it wants. */
  readonly port: MessagePort;
}

/** What comes over the port. */
export type DiffMessage =
  | { readonly chunk: Uint8Array }
  | { readonly outcome: DiffOutcome }
  | { readonly error: ErrorMessage };

/** What the layer is before compression. */
export interface DiffOutcome {
  readonly diffId: string;
  readonly sizeBytes: number;
}

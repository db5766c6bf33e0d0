import type { Log } from '../async/context.ts';
import type { Containers } from '../containers/containers.ts';
import type { Events } from '../events/events.ts';
import type { Metadata } from '../metadata/metadata.ts';
import type { Tasks } from '../runtime/tasks.ts';
import type { SnapshotDriver } from '../snapshots/driver.ts';
import type { TransferParts } from '../transfer/parts.ts';
import type { Layout } from './directories.ts';

/** Everything the services are made of. */
export interface Graph {
  readonly layout: Layout;
  readonly version: string;
  readonly uuid: string;
  readonly log: Log;
  readonly events: Events;
  readonly drivers: readonly SnapshotDriver[];
  readonly metadata: Metadata;
  readonly transfers: TransferParts;
  readonly containers: Containers;
  readonly tasks: Tasks;
  /** Fires when the daemon begins to stop. */
  readonly draining: AbortSignal;
}

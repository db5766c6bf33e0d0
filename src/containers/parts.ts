import type { ContentStore } from '../content/store.ts';
import type { Events } from '../events/events.ts';
import type { ContainerStore } from '../metadata/container-store.ts';
import type { ImageStore } from '../metadata/image-store.ts';
import type { LeaseStore } from '../metadata/lease-store.ts';
import type { Snapshotter } from '../snapshots/snapshotter.ts';
import type { TaskControl, Unpacker } from './task-control.ts';

/** What the verbs are made of. */
export interface ContainerParts {
  readonly content: ContentStore;
  readonly images: ImageStore;
  readonly containers: ContainerStore;
  readonly leases: LeaseStore;
  readonly events: Events;
  /** By name; the first is the default. */
  readonly snapshotters: ReadonlyMap<string, Snapshotter>;
  readonly tasks: TaskControl;
  readonly unpacker: Unpacker;
  /** Directory for FIFOs, e.g. `/run/berth/fifo`. */
  readonly fifoRoot: string;
  /** Directory for logs, e.g. `/var/lib/berth/logs`. */
  readonly logRoot: string;
}

import type { Log } from '../async/context.ts';
import type { Blobs } from '../content/blobs.ts';
import type { ContentStore } from '../content/store.ts';
import type { Events } from '../events/events.ts';
import type { EventJournal } from '../events/journal.ts';
import type { Activations } from '../mounts/activations.ts';
import type { LocalMounts } from '../mounts/local-mounts.ts';
import type { SnapshotDriver } from '../snapshots/driver.ts';
import type { Snapshotter } from '../snapshots/snapshotter.ts';
import { BlobKeeper } from './blob-keeper.ts';
import { Changes } from './changes.ts';
import type { ContainerStore } from './container-store.ts';
import { ContainerRecords } from './containers.ts';
import { ContentRecords } from './content.ts';
import { type Db, openDb } from './db.ts';
import { DirectoryKeeper } from './directory-keeper.ts';
import { EventRecords, type JournalLimits } from './event-records.ts';
import { type Collection, collect } from './gc.ts';
import { type GcConfig, GcScheduler } from './gc-scheduler.ts';
import type { ImageStore } from './image-store.ts';
import { ImageRecords } from './images.ts';
import type { SharingPolicy } from './ingests.ts';
import type { LeaseStore } from './lease-store.ts';
import { LeaseRecords } from './leases.ts';
import { MountRecords } from './mounts.ts';
import type { NamespaceStore } from './namespace-store.ts';
import { NamespaceRecords } from './namespaces.ts';
import { type Reconciled, reconcile } from './reconcile.ts';
import type { SandboxStore } from './sandbox-store.ts';
import { SandboxRecords } from './sandboxes.ts';
import { SnapshotRecords } from './snapshots.ts';

/** What the metadata stores stand on. */
export interface MetadataOptions {
  /** The database file, e.g. `/var/lib/berth/metadata.db`. */
  readonly path: string;
  readonly blobs: Blobs;
  readonly drivers: readonly SnapshotDriver[];
  /** Default: none, and nothing can be activated. */
  readonly mounts?: LocalMounts;
  /** Told of every event, in order, once it is recorded. */
  readonly events: Pick<Events, 'deliver'>;
  /** How much of them is kept; default {@link defaultJournalLimits}. */
  readonly eventsKept?: JournalLimits;
  readonly log: Log;
  /** Default `shared`. */
  readonly sharing?: SharingPolicy;
  readonly gc?: GcConfig;
  /** Told of each collection, how long it took; undefined when it failed. */
  readonly collected?: (tookMs: number | undefined) => void;
}

/** Every record store on one database, its collector, and what the start found. Disposing finishes all writes. */
export interface Metadata extends AsyncDisposable {
  readonly db: Db;
  readonly journal: EventJournal;
  readonly images: ImageStore;
  readonly containers: ContainerStore;
  readonly leases: LeaseStore;
  readonly namespaces: NamespaceStore;
  readonly content: ContentStore;
  readonly mounts: Activations;
  readonly sandboxes: SandboxStore;
  /** By the name clients use. */
  readonly snapshotters: ReadonlyMap<string, Snapshotter>;
  /** Call `start()` when the daemon serves; `collectNow()` waits for a whole collection. */
  readonly gc: GcScheduler;
  readonly reconciled: Reconciled;
  /** What is beneath the records, for whoever checks it. */
  readonly bytes: BlobKeeper;
  readonly directories: ReadonlyMap<string, DirectoryKeeper>;
}

/**
 * Opens the database, reconciles it with the disk, and builds the stores on it.
 * @throws failed_precondition (database of a newer Berth), data_loss (damaged database)
 */
export async function openMetadata(options: MetadataOptions): Promise<Metadata> {
  const { path, blobs, drivers, events, log } = options;
  await using undo = new AsyncDisposableStack();
  const db = undo.use(openDb(path));
  const journal = new EventRecords(db, events, options.eventsKept);
  await journal.open();
  const records = { db, journal, changes: new Changes() };
  const keeper = new BlobKeeper(blobs, db, log);
  const mounts = new MountRecords(records, options.mounts, log);
  const directories = new Map(drivers.map((driver) => [driver.name, new DirectoryKeeper(driver, db, log)]));
  undo.defer(async () => {
    await mounts.settled();
    await keeper.settled();
    for (const directory of directories.values()) await directory.settled();
  });
  await mounts.reconcile();
  const reconciled = await reconcile(db, blobs, directories.values(), log);
  const gc = undo.use(
    new GcScheduler(
      db,
      records.changes,
      () => told(collect({ records, keeper, directories, mounts, log }), options.collected),
      log,
      options.gc,
    ),
  );
  const collected = async () => void (await gc.collectNow());
  const snapshotters = [...directories.values()].map((keeper) => new SnapshotRecords(records, keeper));
  const owned = undo.move();
  return {
    db,
    journal,
    images: new ImageRecords(records, collected),
    containers: new ContainerRecords(records),
    leases: new LeaseRecords(records, collected),
    namespaces: new NamespaceRecords(records),
    content: new ContentRecords(records, keeper, options.sharing),
    mounts,
    sandboxes: new SandboxRecords(records),
    snapshotters: new Map(snapshotters.map((snapshotter) => [snapshotter.name, snapshotter])),
    gc,
    reconciled,
    bytes: keeper,
    directories,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Tells of a collection when it has ended. */
async function told(running: Promise<Collection>, tell: MetadataOptions['collected']): Promise<Collection> {
  try {
    const collection = await running;
    tell?.(collection.tookMs);
    return collection;
  } catch (error) {
    tell?.(undefined);
    throw error;
  }
}

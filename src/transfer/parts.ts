import { availableParallelism } from 'node:os';
import type { Context } from '../async/context.ts';
import { FairLimiter } from '../async/fair-limiter.ts';
import { Flights } from '../async/flights.ts';
import { KeyedLock } from '../async/keyed-lock.ts';
import { Limiter } from '../async/limiter.ts';
import type { ContentStore } from '../content/store.ts';
import type { ImageStore } from '../metadata/image-store.ts';
import type { LeaseStore } from '../metadata/lease-store.ts';
import type { Platform } from '../oci/platform.ts';
import { Connections } from '../registry/connections.ts';
import type { FindApplyTarget } from '../snapshots/apply-target.ts';
import type { Snapshotter } from '../snapshots/snapshotter.ts';
import type { BlobStep } from './blobs.ts';
import type { Differ } from './differ.ts';
import { DiskSpace } from './disk-space.ts';
import { Extractions } from './extractions.ts';
import { RunningTransfers } from './running-transfers.ts';

/** What the daemon gives the transfer verbs to work with. */
export interface TransferOptions {
  readonly content: ContentStore;
  readonly images: ImageStore;
  readonly leases: LeaseStore;
  readonly snapshotters: ReadonlyMap<string, Snapshotter>;
  /** What mounts of theirs mean to whoever applies a layer. */
  readonly applyTarget: FindApplyTarget;
  readonly defaultSnapshotter: string;
  /** Names of those that may have a layer without its blob being here. Default: none. */
  readonly remoteSnapshotters?: ReadonlySet<string>;
  readonly platform: Platform;
  /** Directories of hosts.toml folders for pulls that name none; asked on each pull. */
  readonly hostsDirs?: () => readonly string[];
  /** Directory whose file system must have room for what is pulled. */
  readonly contentRoot: string;
  /** What unpacks images of a platform for a snapshotter, where that is not Berth itself. Default: nothing else does. */
  readonly differFor?: (snapshotter: string, platform: Platform) => Differ | undefined;
  /** How many bytes could be freed for a caller, to say so when there is no room. */
  readonly freeable?: (ctx: Context) => Promise<number>;
  /** Content of other namespaces is none of the caller's business: it must bring the bytes itself. Default false. */
  readonly isolated?: boolean;
  /** Blobs downloaded at a time, over all pulls. Default 3. */
  readonly maxDownloads?: number;
  /** Blobs uploaded at a time, over all pushes. Default 3. */
  readonly maxUploads?: number;
  /** How long nothing may move in a transfer, in milliseconds; 0: for ever. Default 5 minutes. */
  readonly stallMs?: number;
  /** Layers unpacked at a time, over all pulls. Default 4. */
  readonly maxUnpacks?: number;
}

/** {@link TransferOptions} and what all transfers of a daemon share. Disposing closes idle connections. */
export interface TransferParts extends TransferOptions, Disposable {
  readonly connections: Connections;
  /** One at a time for each chain ID, over all callers. */
  readonly locks: KeyedLock;
  /** Downloads under way, by digest. */
  readonly flights: Flights<BlobStep>;
  readonly extractions: Extractions;
  readonly downloads: FairLimiter;
  readonly uploads: Limiter;
  readonly disk: DiskSpace;
  /** All that is under way. */
  readonly running: RunningTransfers;
  /** A transfer in which nothing has moved for so long has failed; 0: never. */
  readonly stallMs: number;
  readonly unpacks: FairLimiter;
  /** Layers that are unpacked while their blobs come: each has a thread, which mostly waits. */
  readonly follows: FairLimiter;
}

/** Beyond the limits, for transfers that have nothing under way: a small pull does not wait for a huge one. */
const spareDownloads = 8;
const spareUnpacks = 1;
const defaultDownloads = 3;
const defaultStallMs = 5 * 60_000;

export function transferParts(options: TransferOptions): TransferParts {
  const connections = new Connections();
  const { maxDownloads = defaultDownloads } = options;
  return {
    ...options,
    connections,
    disk: new DiskSpace(options.contentRoot, options.freeable),
    running: new RunningTransfers(),
    stallMs: options.stallMs ?? defaultStallMs,
    locks: new KeyedLock(),
    flights: new Flights(),
    extractions: new Extractions(),
    downloads: new FairLimiter(maxDownloads, spareDownloads),
    uploads: new Limiter(options.maxUploads ?? 3),
    unpacks: new FairLimiter(options.maxUnpacks ?? 4, spareUnpacks),
    follows: new FairLimiter(Math.min(maxDownloads, availableParallelism())),
    [Symbol.dispose]: () => connections[Symbol.dispose](),
  };
}

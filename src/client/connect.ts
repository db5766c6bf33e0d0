import type { Context, Log } from '../async/context.ts';
import type { ContentStore } from '../content/store.ts';
import type { SandboxController } from '../runtime/sandbox/controller.ts';
import type { Snapshotter } from '../snapshots/snapshotter.ts';
import { type Checkpoints, remoteCheckpoints } from './checkpoints.ts';
import { type Configuration, remoteConfiguration } from './configuration.ts';
import { Connection } from './connection.ts';
import { type Containers, remoteContainers } from './containers.ts';
import { remoteContent } from './content.ts';
import { type Events, remoteEvents } from './events.ts';
import { type Images, remoteImages } from './images.ts';
import { type Introspection, remoteIntrospection } from './introspection.ts';
import { type Layers, remoteLayers } from './layers.ts';
import { type Leases, remoteLeases } from './leases.ts';
import { type Mounts, remoteMounts } from './mounts.ts';
import { type Namespaces, remoteNamespaces } from './namespaces.ts';
import { type Registries, remoteRegistries } from './registries.ts';
import { remoteSandboxController } from './sandbox-controller.ts';
import { remoteSandboxes, type Sandboxes } from './sandboxes.ts';
import { remoteSnapshotter } from './snapshots.ts';
import { remoteStorage, type Storage } from './storage.ts';
import { remoteTasks, type Tasks } from './tasks.ts';
import { remoteTransfers, type Transfers } from './transfers.ts';

/** How to reach a daemon, and what calls on the connection start from. */
export interface ConnectOptions {
  /** The daemon's socket, a path or `unix://` URL. Default: /run/berth/berth.sock. */
  readonly address?: string;
  /** Default: `default`. */
  readonly namespace?: string;
  /**
   * Deadline of ordinary calls. Default: 30 000; ten times as much for calls that start, remove or unpack. Pulls,
   * waits, logs and events have none.
   */
  readonly timeoutMs?: number;
}

/** A connection to a daemon. Errors are BerthErrors: their `kind` says what went wrong. Disposing closes it. */
export interface BerthClient extends Introspection, Disposable {
  readonly address: string;
  readonly namespace: string;
  readonly images: Images;
  readonly containers: Containers;
  readonly tasks: Tasks;
  readonly checkpoints: Checkpoints;
  readonly content: ContentStore;
  readonly layers: Layers;
  readonly leases: Leases;
  readonly events: Events;
  readonly mounts: Mounts;
  readonly namespaces: Namespaces;
  readonly registries: Registries;
  readonly sandboxes: Sandboxes;
  readonly storage: Storage;
  readonly transfers: Transfers;
  readonly configuration: Configuration;
  /** The contract of a snapshotter over the wire. Default name: overlayfs. */
  snapshotter(name?: string): Snapshotter;
  /** The contract of a sandbox controller over the wire. Default name: shim. */
  sandboxController(sandboxer?: string): SandboxController;
  /** The first argument of the methods of {@link content}, {@link snapshotter} and {@link sandboxController}. */
  context(options?: { signal?: AbortSignal; namespace?: string; lease?: string }): Context;
  /** Idempotent. Calls under way fail. */
  close(): void;
}

/** The daemon's socket unless it was configured otherwise. */
export const defaultAddress = '/run/berth/berth.sock';

/**
 * Makes a client; the connection itself is made by the first call and made again when it breaks, so this neither
 * waits nor fails. A call to an absent daemon throws `unavailable`.
 */
export function connect(options: ConnectOptions = {}): BerthClient {
  const { address = defaultAddress, namespace = 'default', timeoutMs = 30_000 } = options;
  const connection = new Connection({ address, namespace, timeoutMs });
  const containers = remoteContainers(connection);
  const close = () => connection[Symbol.dispose]();
  return {
    address,
    namespace,
    ...remoteIntrospection(connection),
    images: remoteImages(connection),
    containers,
    tasks: remoteTasks(connection, containers),
    checkpoints: remoteCheckpoints(connection),
    content: remoteContent(connection),
    layers: remoteLayers(connection),
    leases: remoteLeases(connection),
    events: remoteEvents(connection),
    mounts: remoteMounts(connection),
    namespaces: remoteNamespaces(connection),
    registries: remoteRegistries(connection),
    sandboxes: remoteSandboxes(connection),
    storage: remoteStorage(connection),
    transfers: remoteTransfers(connection),
    configuration: remoteConfiguration(connection),
    snapshotter: (name = 'overlayfs') => remoteSnapshotter(connection, name),
    sandboxController: (sandboxer = 'shim') => remoteSandboxController(connection, sandboxer),
    context: (wanted = {}) => clientContext(namespace, wanted),
    close,
    [Symbol.dispose]: close,
  };
}

const silent = () => {};
const silentLog: Log = { trace: silent, debug: silent, info: silent, warn: silent, error: silent };

function clientContext(
  namespace: string,
  wanted: { signal?: AbortSignal; namespace?: string; lease?: string },
): Context {
  return {
    signal: wanted.signal ?? new AbortController().signal,
    namespace: wanted.namespace ?? namespace,
    lease: wanted.lease,
    log: silentLog,
    caller: { kind: 'grpc' },
  };
}

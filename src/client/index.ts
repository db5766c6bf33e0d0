/**
 * The Berth client: `connect()` to a daemon, then pull images, make containers, run tasks, read content and events.
 * Works in Node 22 and later.
 */

export type { Context } from '../async/context.ts';
export type {
  ContentInfo,
  ContentReader,
  ContentStore,
  ContentWriter,
  IngestStatus,
  WriterOptions,
} from '../content/store.ts';
export { BerthError, type ErrorKind, isKind, kindOf } from '../errors/error.ts';
export type { Envelope } from '../events/events.ts';
export type { Container, NewContainer } from '../metadata/container-store.ts';
export type { Image } from '../metadata/image-store.ts';
export type { Lease, LeaseResource } from '../metadata/lease-store.ts';
export type { Namespace } from '../metadata/namespace-store.ts';
export type { NewSandbox, Sandbox } from '../metadata/sandbox-store.ts';
export type { Activation, ActiveMount } from '../mounts/activations.ts';
export type { Any } from '../oci/any.ts';
export type { Descriptor } from '../oci/descriptor.ts';
export { type Digest, parseDigest } from '../oci/digest.ts';
export type { Platform } from '../oci/platform.ts';
export { formatPlatform, parsePlatform } from '../oci/platform.ts';
export { formatReference, normalizeReference, parseFamiliar } from '../oci/reference.ts';
export type {
  SandboxController,
  SandboxEnds,
  SandboxMetrics,
  SandboxPlatform,
  SandboxStatus,
  SandboxToCreate,
  StartedSandbox,
} from '../runtime/sandbox/controller.ts';
export type { RootfsMount } from '../runtime/task.ts';
export type {
  Mount,
  SnapshotInfo,
  SnapshotKind,
  Snapshotter,
  SnapshotUsage,
} from '../snapshots/snapshotter.ts';
export type {
  CheckOptions,
  CheckProgress,
  Finding,
  Pruned,
  PrunedItem,
  PruneRequest,
  Resource,
  StorageUsage,
  UsageItem,
  WhyStep,
  WhySubject,
} from '../storage/storage.ts';
export type { TransferObject, TransferState } from '../transfer/running-transfer.ts';
export type { LoadOptions, SaveOptions } from './archives.ts';
export type { CheckpointOptions, Checkpoints, RestoredContainer, RestoreOptions } from './checkpoints.ts';
export type { Configuration, ConfigurationChange, ReloadResult } from './configuration.ts';
export { type BerthClient, type ConnectOptions, connect, defaultAddress } from './connect.ts';
export type { CallOptions } from './connection.ts';
export type {
  ContainerMount,
  ContainerOptions,
  LimitChanges,
  LogEntry,
  LogOptions,
  ProcessOptions,
  StdioPaths,
} from './container-options.ts';
export type { CopyFromOptions, CopyToOptions } from './container-paths.ts';
export type { Containers, CreatedContainer, EndStep } from './containers.ts';
export { decodeEvent, type Events, type FollowedEvent, type FollowOptions } from './events.ts';
export type { CommitOptions, Images } from './images.ts';
export type { DaemonVersion, Introspection, Plugin, ServerInfo } from './introspection.ts';
export type { CompareOptions, Layers } from './layers.ts';
export type { Leases } from './leases.ts';
export type { ActivationOptions, Mounts } from './mounts.ts';
export type { Namespaces } from './namespaces.ts';
export type { Exit, Process } from './process.ts';
export type { Pull, PullOptions } from './pull.ts';
export type { CopyOptions, Push, PushOptions } from './push.ts';
export type { Registries } from './registries.ts';
export type { Credentials, RegistryAccess } from './registry-access.ts';
export type { Sandboxes, SandboxRecord } from './sandboxes.ts';
export type { TaskStats } from './stats.ts';
export type { Stdio } from './stdio.ts';
export type { Storage } from './storage.ts';
export type { ExecOptions, StreamOptions, TaskOptions, TaskState, TaskStatus, Tasks } from './tasks.ts';
export type { TransferProgress } from './transfer.ts';
export type { TransferScopeOptions, Transfers } from './transfers.ts';

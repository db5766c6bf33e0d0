import { defaultGcConfig, type GcConfig } from '../../metadata/gc-scheduler.ts';
import type { SharingPolicy } from '../../metadata/ingests.ts';
import type { LayerMode } from '../../snapshots/layer-mode.ts';

/** What berthd runs with. Every field has a default; see `berthd config default`. */
export interface Config {
  /** Data that outlives a reboot: content, snapshots, metadata. 0700. */
  readonly root: string;
  /** What a reboot may lose: socket, bundles, FIFOs, shim. 0711. */
  readonly state: string;
  /** The gRPC socket: an absolute path of at most 107 bytes. */
  readonly address: string;
  /** Owner of the socket (mode 0660). */
  readonly uid: number;
  readonly gid: number;
  readonly logLevel: LogLevel;
  readonly logFormat: 'text' | 'json';
  /** Directories with `<host>/hosts.toml`, first match wins. */
  readonly hostsDirs: readonly string[];
  readonly maxConcurrentDownloads: number;
  /** Layers unpacked at once; 0 means one a core. */
  readonly maxConcurrentUnpacks: number;
  /** OCI runtime binary, or '' for crun where it can run, else runc. */
  readonly ociRuntime: string;
  /** How overlayfs keeps layers: as mounted files where that is possible, or as directories. */
  readonly layerMode: LayerMode;
  /** May overlayfs give files other owners one by one where it cannot map them. */
  readonly slowChown: boolean;
  /** Whether a namespace gets at content of another by its digest, or only where a label on that one allows it. */
  readonly contentSharing: SharingPolicy;
  /** Shims' programs by runtime name; others are looked for in PATH. */
  readonly runtimes: Readonly<Record<string, string>>;
  /** How long a shim of others may take to start. */
  readonly shimStartTimeoutMs: number;
  /** Where Prometheus reads metrics, `host:port`; '' for nowhere. */
  readonly metricsAddress: string;
  /** Shims, processes, cgroups, mounts, bundles and records are compared this often. */
  readonly reconcileIntervalMs: number;
  /** Containers with restart labels are looked at this often. */
  readonly restartIntervalMs: number;
  /** A transfer in which nothing moved for so long has failed; 0: never. */
  readonly stallTimeoutMs: number;
  /** How much of unfinished downloads is kept, over all namespaces, and for how long. */
  readonly partialDownloadsBytes: number;
  readonly partialDownloadsAgeMs: number;
  readonly gc: GcConfig;
  /** Snapshotters in other processes, by name. */
  readonly proxySnapshotters: Readonly<Record<string, ProxyPlugin>>;
}

/** A plug-in in another process, as containerd's `[proxy_plugins.NAME]` describes one. */
export interface ProxyPlugin {
  readonly type: 'snapshot';
  /** Its gRPC socket, an absolute path. */
  readonly address: string;
  readonly capabilities: readonly string[];
  /** Shown to clients; `enable_remote_snapshot_annotations = "true"` marks one that can do without layers' bytes. */
  readonly exports: Readonly<Record<string, string>>;
}

/** Log levels, from everything to next to nothing. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Read where it exists and no other file was named. */
export const defaultConfigPath = '/etc/berth/config.toml';

/** What holds for keys that no file sets. */
export const defaultConfig: Config = {
  root: '/var/lib/berth',
  state: '/run/berth',
  address: '/run/berth/berth.sock',
  uid: 0,
  gid: 0,
  logLevel: 'info',
  logFormat: 'text',
  hostsDirs: ['/etc/berth/certs.d', '/etc/containerd/certs.d', '/etc/docker/certs.d'],
  maxConcurrentDownloads: 3,
  maxConcurrentUnpacks: 0,
  ociRuntime: '',
  layerMode: 'auto',
  slowChown: false,
  contentSharing: 'shared',
  runtimes: {},
  shimStartTimeoutMs: 30_000,
  metricsAddress: '',
  reconcileIntervalMs: 60_000,
  restartIntervalMs: 10_000,
  stallTimeoutMs: 5 * 60_000,
  partialDownloadsBytes: 10 * 2 ** 30,
  partialDownloadsAgeMs: 24 * 60 * 60_000,
  gc: defaultGcConfig,
  proxySnapshotters: {},
};

import { defaultJournalLimits } from '../../metadata/event-records.ts';
import { defaultGcConfig, type GcConfig } from '../../metadata/gc-scheduler.ts';
import type { SharingPolicy } from '../../metadata/ingests.ts';
import { defaultShimTimeouts, type ShimTimeouts } from '../../runtime/foreign/shim-timeouts.ts';
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
  /** The ttrpc socket, for shims' events; '' for the gRPC one's path with `.ttrpc`. */
  readonly ttrpcAddress: string;
  readonly ttrpcUid: number;
  readonly ttrpcGid: number;
  /** Where profiles are had: an absolute path, or `host:port` of this machine; '' for nowhere. */
  readonly debugAddress: string;
  readonly debugUid: number;
  readonly debugGid: number;
  /** Directory of temporary files and mounts, 0700; '' for one in the state directory. */
  readonly tempDir: string;
  /** Of the daemon, -1000 to 1000; 0 leaves it as it is. */
  readonly oomScore: number;
  /** Cgroup that the daemon moves to, such as `/system.slice/berth`; '' leaves it where it is. */
  readonly cgroupPath: string;
  /** Plug-ins that are left out, and ones without which the daemon does not start, as `io.containerd.grpc.v1.cri`. */
  readonly disabledPlugins: readonly string[];
  readonly requiredPlugins: readonly string[];
  /** What `ctr install` unpacks programs to; its `bin` is the first place where shims are looked for. '' for `opt` below root. */
  readonly optPath: string;
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
  /** How many bytes may be written to a snapshot of overlayfs; 0: any number. */
  readonly quotaBytes: number;
  /** Whether a namespace gets at content of another by its digest, or only where a label on that one allows it. */
  readonly contentSharing: SharingPolicy;
  /** Shims' programs by runtime name; others are looked for in PATH. */
  readonly runtimes: Readonly<Record<string, string>>;
  /** How long shims of others may take. */
  readonly shimTimeouts: ShimTimeouts;
  /** How long metrics wait for what containers use. */
  readonly statsTimeoutMs: number;
  /** How long a plug-in in another process has for a call; for what unpacks or waits for a runtime, ten times as long. */
  readonly proxyTimeoutMs: number;
  /** Where snapshots are, an absolute path; '' for below root. */
  readonly overlayRoot: string;
  readonly nativeRoot: string;
  /** Of the overlays that snapshots are mounted as. */
  readonly overlayOptions: readonly string[];
  /** Whether overlayfs tells the directory of a snapshot by a label. */
  readonly upperdirLabel: boolean;
  /** `KEY=value` for shims and the runtimes they start. */
  readonly shimEnv: readonly string[];
  /** The CRI's runtimes: its clients' names of them, and what stands behind. */
  readonly criRuntimes: Readonly<Record<string, CriRuntime>>;
  readonly criDefaultRuntime: string;
  /** Where Prometheus reads metrics, `host:port`; '' for nowhere. */
  readonly metricsAddress: string;
  /** Whether the time of each call is counted, too, by method. */
  readonly grpcHistogram: boolean;
  /** Whether log lines of a call name its trace. */
  readonly logTraceId: boolean;
  /** Shims, processes, cgroups, mounts, bundles and records are compared this often. */
  readonly reconcileIntervalMs: number;
  /** Containers with restart labels are looked at this often. */
  readonly restartIntervalMs: number;
  /** A transfer in which nothing moved for so long has failed; 0: never. */
  readonly stallTimeoutMs: number;
  /** How much of unfinished downloads is kept, over all namespaces, and for how long. */
  readonly partialDownloadsBytes: number;
  readonly partialDownloadsAgeMs: number;
  /** How much of the journal of events is kept. */
  readonly eventsCount: number;
  readonly eventsBytes: number;
  readonly eventsAgeMs: number;
  readonly gc: GcConfig;
  /** Plug-ins in other processes, by name; one content store at most. */
  readonly proxyPlugins: Readonly<Record<string, ProxyPlugin>>;
  /** Differs of the Diff service in the order in which they are asked: `walking` and proxies. */
  readonly differs: readonly string[];
  /** What unpacks images that are pulled or imported here. */
  readonly unpacks: readonly UnpackConfig[];
}

/** Which differ (`walking`, a proxy; '' for Berth itself) unpacks images of a platform ('' for any) for a snapshotter. */
export interface UnpackConfig {
  readonly platform: string;
  readonly snapshotter: string;
  readonly differ: string;
}

/** What another process may do for the daemon. */
export const proxyTypes = ['snapshot', 'content', 'diff', 'sandbox'] as const;
export type ProxyType = (typeof proxyTypes)[number];

/** A plug-in in another process, as containerd's `[proxy_plugins.NAME]` describes one. */
export interface ProxyPlugin {
  readonly type: ProxyType;
  /** Its gRPC socket, an absolute path. */
  readonly address: string;
  readonly capabilities: readonly string[];
  /** Shown to clients; `enable_remote_snapshot_annotations = "true"` marks one that can do without layers' bytes. */
  readonly exports: Readonly<Record<string, string>>;
}

/** A runtime of the CRI, as containerd's `containerd.runtimes.NAME` has it; keys of the file that are not here are kept. */
export interface CriRuntime {
  readonly runtime_type: string;
  /** The shim's program, an absolute path; '' to find it by the type. */
  readonly runtime_path: string;
  /** Of the runtime itself, such as BinaryName and SystemdCgroup. */
  readonly options: Readonly<Record<string, unknown>>;
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
  ttrpcAddress: '',
  ttrpcUid: 0,
  ttrpcGid: 0,
  debugAddress: '',
  debugUid: 0,
  debugGid: 0,
  tempDir: '',
  oomScore: 0,
  cgroupPath: '',
  disabledPlugins: [],
  requiredPlugins: [],
  optPath: '',
  logLevel: 'info',
  logFormat: 'text',
  hostsDirs: ['/etc/berth/certs.d', '/etc/containerd/certs.d', '/etc/docker/certs.d'],
  maxConcurrentDownloads: 3,
  maxConcurrentUnpacks: 0,
  ociRuntime: '',
  layerMode: 'auto',
  slowChown: false,
  quotaBytes: 0,
  contentSharing: 'shared',
  runtimes: {},
  shimTimeouts: defaultShimTimeouts,
  statsTimeoutMs: 2_000,
  proxyTimeoutMs: 60_000,
  overlayRoot: '',
  nativeRoot: '',
  overlayOptions: [],
  upperdirLabel: false,
  shimEnv: [],
  criRuntimes: {
    runc: {
      runtime_type: 'io.containerd.runc.v2',
      runtime_path: '',
      options: { BinaryName: '', SystemdCgroup: false },
    },
  },
  criDefaultRuntime: 'runc',
  metricsAddress: '',
  grpcHistogram: false,
  logTraceId: false,
  reconcileIntervalMs: 60_000,
  restartIntervalMs: 10_000,
  stallTimeoutMs: 5 * 60_000,
  eventsCount: defaultJournalLimits.count,
  eventsBytes: defaultJournalLimits.bytes,
  eventsAgeMs: defaultJournalLimits.ageMs,
  partialDownloadsBytes: 10 * 2 ** 30,
  partialDownloadsAgeMs: 24 * 60 * 60_000,
  gc: defaultGcConfig,
  proxyPlugins: {},
  differs: ['walking'],
  unpacks: [],
};

/**
 * As {@link defaultConfig}, at the paths where containerd's clients look for containerd: what a daemon that is started
 * under its name has.
 */
export const containerdConfig: Config = {
  ...defaultConfig,
  root: '/var/lib/containerd',
  state: '/run/containerd',
  address: '/run/containerd/containerd.sock',
  optPath: '/opt/containerd',
};

/** As {@link defaultConfigPath} for {@link containerdConfig}. */
export const containerdConfigPath = '/etc/containerd/config.toml';

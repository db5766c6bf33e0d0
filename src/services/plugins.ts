import type { Platform } from '../oci/platform.ts';
import { restartPolicies } from '../oci/restart-policy.ts';
import type { PluginInfo } from './introspection.ts';

/** What the table of plug-ins is made for. */
export interface PluginTableOptions {
  readonly platform: Platform;
  /** The daemon's root and state directories. */
  readonly root: string;
  readonly state: string;
  readonly snapshotters: readonly {
    readonly name: string;
    readonly root: string;
    readonly capabilities?: readonly string[];
    readonly exports?: Readonly<Record<string, string>>;
    readonly initError?: unknown;
  }[];
  /** What `ctr install` unpacks to. */
  readonly optPath: string;
  /** What is listened for beside gRPC and ttrpc: `debug`, `metrics`. */
  readonly servers?: readonly string[];
  /** How content is shared between namespaces. Default `shared`. */
  readonly contentSharing?: string;
  /** Thresholds and delays of the collector, in containerd's words. */
  readonly gc?: Readonly<Record<string, string>>;
  /** Plug-ins of types other than snapshotters that are in other processes. A content store replaces the daemon's own. */
  readonly proxies?: readonly PluginInfo[];
}

const content = 'io.containerd.content.v1';
const differ = 'io.containerd.differ.v1';
const events = 'io.containerd.event.v1';
const gc = 'io.containerd.gc.v1';
const grpc = 'io.containerd.grpc.v1';
const leases = 'io.containerd.lease.v1';
const metadata = 'io.containerd.metadata.v1';
const mountHandler = 'io.containerd.mount-handler.v1';
const mounts = 'io.containerd.mount-manager.v1';
const runtime = 'io.containerd.runtime.v2';
const sandboxController = 'io.containerd.sandbox.controller.v1';
const sandboxStore = 'io.containerd.sandbox.store.v1';
const server = 'io.containerd.server.v1';
const service = 'io.containerd.service.v1';
const shim = 'io.containerd.shim.v1';
const snapshotter = 'io.containerd.snapshotter.v1';
const streaming = 'io.containerd.streaming.v1';
const transfer = 'io.containerd.transfer.v1';
const warning = 'io.containerd.warning.v1';

/** What each service of the socket builds on, as containerd 2.3.4 says it. */
const grpcServices: Readonly<Record<string, readonly string[]>> = {
  containers: [service],
  content: [service],
  diff: [service],
  events: [events],
  healthcheck: [],
  images: [service],
  introspection: [service],
  leases: [leases],
  mounts: [mounts],
  namespaces: [service],
  'sandbox-controllers': [sandboxController, events],
  sandboxes: [sandboxStore],
  snapshots: [service],
  streaming: [streaming],
  tasks: [service],
  transfer: [transfer, streaming],
  version: [],
};

const localServices: Readonly<Record<string, readonly string[]>> = {
  containers: [events, metadata],
  content: [metadata],
  diff: [differ],
  images: [metadata, gc, warning],
  introspection: [warning],
  namespaces: [events, metadata],
  snapshots: [metadata],
  tasks: [events, runtime, metadata, warning],
};

/** The plug-ins of containerd that Berth stands in for, under the names clients look up (features.md §2.6). */
export function pluginTable(options: PluginTableOptions): PluginInfo[] {
  const servers = ['grpc', 'ttrpc', ...(options.servers ?? [])];
  return [
    ...storage(options),
    ...execution(options),
    ...Object.entries(localServices).map(([name, requires]) => plain(service, `${name}-service`, requires)),
    ...Object.entries(grpcServices).map(([name, requires]) => plain(grpc, name, requires)),
    ...servers.map((id) => plain(server, id, id === 'grpc' || id === 'ttrpc' ? [grpc] : [])),
    { ...plain('io.containerd.internal.v1', 'opt'), exports: { path: options.optPath } },
    plain(warning, 'deprecations'),
  ];
}

const plain = (type: string, id: string, requires: readonly string[] = []): PluginInfo => ({
  type,
  id,
  requires,
  platforms: [],
});

function storage(options: PluginTableOptions): PluginInfo[] {
  const { platform, root, snapshotters, contentSharing: policy = 'shared', proxies = [] } = options;
  const platforms = [platform];
  const own = { ...plain(content, 'content'), exports: { root: `${root}/content` } };
  return [
    ...(proxies.some(({ type }) => type === content) ? [] : [own]),
    ...proxies,
    ...snapshotters.map((one) => ({
      ...plain(snapshotter, one.name),
      platforms,
      exports: { root: one.root, ...one.exports },
      capabilities: one.capabilities ?? [],
      initError: one.initError,
    })),
    {
      ...plain(metadata, 'bolt', [content, events, snapshotter]),
      exports: { policy, path: `${root}/metadata.db` },
    },
    { ...plain(differ, 'walking', [metadata, mounts]), platforms },
    { ...plain(gc, 'scheduler', [metadata]), exports: { ...options.gc } },
    plain(leases, 'manager', [metadata, gc]),
    plain(events, 'exchange'),
    ...['erofs', 'loop'].map((id) => ({ ...plain(mountHandler, id), platforms })),
    plain(mounts, 'bolt', [metadata, mountHandler]),
    plain(transfer, 'local', [leases, metadata, differ, snapshotter]),
    plain(streaming, 'manager', [metadata]),
  ];
}

function execution({ platform, root, state }: PluginTableOptions): PluginInfo[] {
  const platforms = [platform];
  return [
    plain(shim, 'manager', [events, metadata]),
    {
      ...plain(runtime, 'task', [shim, mounts, warning]),
      platforms,
      exports: { 'log-uri-schemes': 'fifo,binary,file,cri,json', root, state },
    },
    plain(sandboxStore, 'local', [metadata]),
    plain(sandboxController, 'shim', [shim, events]),
    {
      ...plain('io.containerd.monitor.container.v1', 'restart', [events, service]),
      capabilities: restartPolicies,
    },
  ];
}

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
}

const grpcServices = [
  'containers',
  'content',
  'diff',
  'events',
  'healthcheck',
  'images',
  'introspection',
  'leases',
  'namespaces',
  'snapshots',
  'streaming',
  'tasks',
  'transfer',
  'version',
];

const localServices = [
  'containers',
  'content',
  'diff',
  'images',
  'introspection',
  'namespaces',
  'snapshots',
  'tasks',
];

/** The plug-ins of containerd that Berth stands in for, under the names clients look up (features.md §2.6). */
export function pluginTable(options: PluginTableOptions): PluginInfo[] {
  return [
    ...storage(options),
    ...execution(options),
    ...localServices.map((name) => plain('io.containerd.service.v1', `${name}-service`)),
    ...grpcServices.map((name) => plain('io.containerd.grpc.v1', name)),
    ...['grpc', 'ttrpc', ...(options.servers ?? [])].map((id) => plain('io.containerd.server.v1', id)),
    { ...plain('io.containerd.internal.v1', 'opt'), exports: { path: options.optPath } },
    plain('io.containerd.warning.v1', 'deprecations'),
  ];
}

const plain = (type: string, id: string): PluginInfo => ({ type, id, platforms: [] });

function storage({ platform, root, snapshotters }: PluginTableOptions): PluginInfo[] {
  const platforms = [platform];
  return [
    { ...plain('io.containerd.content.v1', 'content'), platforms, exports: { root: `${root}/content` } },
    ...snapshotters.map((one) => ({
      ...plain('io.containerd.snapshotter.v1', one.name),
      platforms,
      exports: { root: one.root, ...one.exports },
      capabilities: one.capabilities ?? [],
      initError: one.initError,
    })),
    {
      ...plain('io.containerd.metadata.v1', 'bolt'),
      requires: ['io.containerd.content.v1', 'io.containerd.snapshotter.v1', 'io.containerd.event.v1'],
      exports: { root, path: `${root}/metadata.db` },
    },
    { ...plain('io.containerd.differ.v1', 'walking'), requires: ['io.containerd.metadata.v1'], platforms },
    { ...plain('io.containerd.gc.v1', 'scheduler'), requires: ['io.containerd.metadata.v1'] },
    { ...plain('io.containerd.lease.v1', 'manager'), requires: ['io.containerd.metadata.v1'] },
    plain('io.containerd.event.v1', 'exchange'),
    { ...plain('io.containerd.transfer.v1', 'local'), requires: ['io.containerd.metadata.v1'], platforms },
    plain('io.containerd.streaming.v1', 'manager'),
  ];
}

function execution({ platform, root, state }: PluginTableOptions): PluginInfo[] {
  return [
    { ...plain('io.containerd.shim.v1', 'manager'), platforms: [platform] },
    {
      ...plain('io.containerd.runtime.v2', 'task'),
      requires: ['io.containerd.metadata.v1', 'io.containerd.event.v1', 'io.containerd.shim.v1'],
      platforms: [platform],
      exports: { root, state },
    },
    { ...plain('io.containerd.monitor.container.v1', 'restart'), capabilities: restartPolicies },
  ];
}

import type { Setting } from './settings.ts';
import { isZero } from './settings.ts';

/** The newest version of containerd's configuration, and of Berth's. */
export const latestVersion = 4;

/**
 * The settings of a file as one of the latest version has them, names and values (containerd's own migrations, 2.3).
 * A file that names no version is read as one of version 1. What has its new name already outweighs what is renamed.
 */
export function migrate(settings: readonly Setting[], version: number): Setting[] {
  if (version >= latestVersion) return [...settings];
  const qualified = version < 2 ? settings.map(qualify) : settings;
  const renamed: Setting[] = [];
  const kept: Setting[] = [];
  for (const setting of qualified) {
    const migrated = rename(setting);
    (migrated === setting ? kept : renamed).push(migrated);
  }
  const legacy = renamed.filter(({ path, value }) => !(path[1]?.startsWith(server) && isZero(value)));
  return [...ttrpcOf(qualified), ...legacy, ...kept];
}

const server = 'io.containerd.server.v1.';
const cri = 'io.containerd.grpc.v1.cri';
const criImages = 'io.containerd.cri.v1.images';
const criRuntime = 'io.containerd.cri.v1.runtime';

/** Plug-ins of version 1, which had short names. */
const shortNames: Readonly<Record<string, string>> = {
  aufs: 'io.containerd.snapshotter.v1.aufs',
  bolt: 'io.containerd.metadata.v1.bolt',
  btrfs: 'io.containerd.snapshotter.v1.btrfs',
  cgroups: 'io.containerd.monitor.v1.cgroups',
  cri,
  devmapper: 'io.containerd.snapshotter.v1.devmapper',
  linux: 'io.containerd.runtime.v1.linux',
  native: 'io.containerd.snapshotter.v1.native',
  opt: 'io.containerd.internal.v1.opt',
  otlp: 'io.containerd.tracing.processor.v1.otlp',
  overlayfs: 'io.containerd.snapshotter.v1.overlayfs',
  restart: 'io.containerd.internal.v1.restart',
  scheduler: 'io.containerd.gc.v1.scheduler',
  task: 'io.containerd.runtime.v2.task',
  tracing: 'io.containerd.internal.v1.tracing',
  zfs: 'io.containerd.snapshotter.v1.zfs',
};

function longName(name: string): string {
  if (name.includes('.')) return name;
  if (Object.hasOwn(shortNames, name)) return shortNames[name] ?? name;
  return `io.containerd.${name.endsWith('-service') ? 'service' : 'grpc'}.v1.${name}`;
}

function qualify(setting: Setting): Setting {
  const { path, value } = setting;
  const [first = '', second = '', ...rest] = path;
  if (first === 'plugins' && path.length > 1) return { ...setting, path: [first, longName(second), ...rest] };
  if ((first !== 'disabled_plugins' && first !== 'required_plugins') || !Array.isArray(value)) return setting;
  return { ...setting, value: value.map((one) => (typeof one === 'string' ? longName(one) : one)) };
}

/** One thing that moved as it is, or the first part of many. */
type Move = readonly [from: readonly string[], to: readonly string[]];

/** Keys that moved from one table to another. */
const keys = (names: readonly string[], from: readonly string[], to: readonly string[]): Move[] =>
  names.map((name) => [
    [...from, name],
    [...to, name],
  ]);

/** Tables and keys that moved as they are, the first that fits: longest first where one lies in another. */
const moved: readonly Move[] = [
  ...['address', 'tls_ca', 'tls_cert', 'tls_key', 'tls_common_name'].map(
    (name): Move => [
      ['grpc', `tcp_${name}`],
      ['plugins', `${server}grpc-tcp`, name],
    ],
  ),
  [['grpc'], ['plugins', `${server}grpc`]],
  [['ttrpc'], ['plugins', `${server}ttrpc`]],
  ...keys(['address'], ['metrics'], ['plugins', `${server}metrics`]),
  ...keys(['grpc_histogram'], ['metrics'], ['plugins', 'io.containerd.metrics.v1.grpc-prometheus']),
  ...keys(['address', 'uid', 'gid'], ['debug'], ['plugins', `${server}debug`]),
  [
    ['plugins', 'io.containerd.internal.v1.restart'],
    ['plugins', 'io.containerd.monitor.container.v1.restart'],
  ],
  [
    ['plugins', 'io.containerd.monitor.v1.cgroups'],
    ['plugins', 'io.containerd.monitor.task.v1.cgroups'],
  ],
  [
    ['plugins', cri, 'sandbox_image'],
    ['plugins', criImages, 'pinned_images', 'sandbox'],
  ],
  ...keys(
    ['snapshotter', 'disable_snapshot_annotations', 'discard_unpacked_layers'],
    ['plugins', cri, 'containerd'],
    ['plugins', criImages],
  ),
  ...keys(
    [
      'registry',
      'image_decryption',
      'max_concurrent_downloads',
      'image_pull_progress_timeout',
      'image_pull_with_sync_fs',
      'stats_collect_period',
    ],
    ['plugins', cri],
    ['plugins', criImages],
  ),
  // These stay where they are.
  ...keys(
    [
      'disable_tcp_service',
      'stream_server_address',
      'stream_server_port',
      'stream_idle_timeout',
      'enable_tls_streaming',
      'x509_key_pair_streaming',
    ],
    ['plugins', cri],
    ['plugins', cri],
  ),
  [
    ['plugins', cri],
    ['plugins', criRuntime],
  ],
];

function rename(setting: Setting): Setting {
  const { path, value } = setting;
  const [, plugin, ...key] = path;
  if (plugin === cri && key.join('.') === 'cni.bin_dir')
    return {
      ...setting,
      path: ['plugins', criRuntime, 'cni', 'bin_dirs'],
      value: isZero(value) ? [] : [value],
    };
  if (plugin === 'io.containerd.runtime.v2.task' && key[0] === 'sched_core')
    return {
      ...setting,
      path: ['plugins', 'io.containerd.shim.v1.manager', 'env'],
      value: value === true ? ['SCHED_CORE=1'] : [],
    };
  const [from, to] = moved.find(([prefix]) => prefix.every((part, i) => path[i] === part)) ?? [];
  if (from === undefined || to === undefined || from.join('\0') === to.join('\0')) return setting;
  return { ...setting, path: [...to, ...path.slice(from.length)] };
}

/** Before version 4 the ttrpc socket is beside the gRPC socket that the file names, with its owner. */
function ttrpcOf(settings: readonly Setting[]): Setting[] {
  const grpc = settings.filter(({ path, value }) => path[0] === 'grpc' && !isZero(value));
  if (!grpc.some(({ path }) => path[1] === 'address')) return [];
  return grpc.flatMap((one) => {
    const name = one.path[1] ?? '';
    if (!['address', 'uid', 'gid'].includes(name)) return [];
    const value = name === 'address' ? `${one.value}.ttrpc` : one.value;
    return [{ ...one, value, path: ['plugins', `${server}ttrpc`, name] }];
  });
}

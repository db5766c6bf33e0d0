import { isDeepStrictEqual } from 'node:util';
import { isZero, type Setting } from './settings.ts';

/**
 * What containerd's own dumps (`containerd config default` of 1.6 to 2.3) set beside '', 0, false and empty lists, in the
 * names of version 4 and without the keys that mean something to Berth: a node that never chose these needs no warning.
 */
const defaults: Readonly<Record<string, Readonly<Record<string, readonly unknown[]>>>> = {
  'io.containerd.cri.v1.images': {
    stats_collect_period: [10],
    disable_snapshot_annotations: [true],
    snapshotter: ['overlayfs'],
    'image_decryption.key_model': ['node'],
    image_pull_progress_timeout: ['5m0s', '1m0s'],
  },
  'io.containerd.cri.v1.runtime': {
    disable_hugetlb_controller: [true],
    enable_unprivileged_icmp: [true],
    enable_unprivileged_ports: [true],
    max_container_log_line_size: [16384],
    selinux_category_range: [1024],
    tolerate_missing_hugetlb_controller: [true],
    enable_cdi: [true],
    cdi_spec_dirs: [['/etc/cdi', '/var/run/cdi']],
    enable_criu: [true],
    'cni.bin_dirs': [['/opt/cni/bin'], ['/usr/lib/cni']],
    'cni.conf_dir': ['/etc/cni/net.d'],
    'cni.max_conf_num': [1],
  },
  'io.containerd.differ.v1.erofs': {},
  'io.containerd.grpc.v1.cri': {
    disable_tcp_service: [true],
    stream_idle_timeout: ['4h0m0s'],
    stream_server_address: ['127.0.0.1'],
    stream_server_port: ['0'],
  },
  'io.containerd.image-verifier.v1.bindir': {
    bin_dir: ['/opt/containerd/image-verifier/bin'],
    max_verifiers: [10],
    per_verifier_timeout: ['10s'],
  },
  'io.containerd.internal.v1.tracing': {},
  'io.containerd.metadata.v1.bolt': {},
  'io.containerd.monitor.container.v1.restart': {},
  'io.containerd.monitor.task.v1.cgroups': {},
  'io.containerd.mount-handler.v1.erofs': {},
  'io.containerd.nri.v1.nri': {
    disable: [true],
    socket_path: ['/var/run/nri/nri.sock'],
    plugin_path: ['/opt/nri/plugins'],
    plugin_config_path: ['/etc/nri/conf.d'],
    plugin_registration_timeout: ['5s'],
    plugin_request_timeout: ['2s'],
  },
  'io.containerd.runtime.v1.linux': { runtime: ['runc'], shim: ['containerd-shim'] },
  'io.containerd.runtime.v2.task': { platforms: [['linux/amd64'], ['linux/arm64'], ['linux/arm64/v8']] },
  'io.containerd.server.v1.grpc': {
    max_recv_message_size: [16 << 20],
    max_send_message_size: [16 << 20],
  },
  'io.containerd.server.v1.grpc-tcp': {
    max_recv_message_size: [16 << 20],
    max_send_message_size: [16 << 20],
  },
  'io.containerd.service.v1.diff-service': { default: [['walking']] },
  'io.containerd.service.v1.tasks-service': {},
  'io.containerd.shim.v1.manager': {},
  'io.containerd.snapshotter.v1.aufs': {},
  'io.containerd.snapshotter.v1.blockfile': {},
  'io.containerd.snapshotter.v1.btrfs': {},
  'io.containerd.snapshotter.v1.devmapper': {},
  'io.containerd.snapshotter.v1.erofs': {},
  'io.containerd.snapshotter.v1.native': {},
  'io.containerd.snapshotter.v1.overlayfs': {},
  'io.containerd.snapshotter.v1.zfs': {},
  'io.containerd.tracing.processor.v1.otlp': {},
  'io.containerd.transfer.v1.local': { max_concurrent_uploaded_layers: [3] },
};

const timeouts: Readonly<Record<string, string>> = {
  'io.containerd.timeout.bolt.open': '0s',
  'io.containerd.timeout.cri.defercleanup': '1m0s',
};

const decoders = new Set([
  'io.containerd.ocicrypt.decoder.v1.tar',
  'io.containerd.ocicrypt.decoder.v1.tar.gzip',
]);

/** Whether a setting that nothing reads is one that containerd has by itself, or one of its keys that says nothing. */
export function isInert({ path, value }: Setting): boolean {
  const [table = '', name = '', ...rest] = path;
  if (path.length === 1) return table === 'plugin_dir' && isZero(value);
  if (table === 'timeouts') return timeouts[name] === value;
  if (table === 'stream_processors') return decoders.has(name);
  if (table !== 'plugins') return isZero(value);
  if (!Object.hasOwn(defaults, name)) return isZero(value) && rest.length === 0;
  const key = rest.join('.');
  const usual = defaults[name];
  return (
    isZero(value) ||
    (usual !== undefined &&
      Object.hasOwn(usual, key) &&
      usual[key]?.some((one) => isDeepStrictEqual(one, value))) ||
    (name === 'io.containerd.cri.v1.images' && key === 'pinned_images.sandbox')
  );
}

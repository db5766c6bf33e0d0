import { stringify } from 'smol-toml';
import type { Config } from './config.ts';

/** A configuration as a version 3 file that reads back to the same configuration. */
export function renderConfig(config: Config): string {
  return stringify({
    version: 3,
    root: config.root,
    state: config.state,
    grpc: { address: config.address, uid: config.uid, gid: config.gid },
    metrics: { address: config.metricsAddress },
    debug: { level: config.logLevel, format: config.logFormat },
    berth: {
      oci_runtime: config.ociRuntime,
      runtimes: config.runtimes,
      reconcile_interval: `${config.reconcileIntervalMs}ms`,
      stall_timeout: `${config.stallTimeoutMs}ms`,
      partial_downloads_bytes: config.partialDownloadsBytes,
      partial_downloads_age: `${config.partialDownloadsAgeMs}ms`,
      shim_start_timeout: `${config.shimStartTimeoutMs}ms`,
    },
    proxy_plugins: config.proxySnapshotters,
    plugins: {
      'io.containerd.gc.v1.scheduler': {
        pause_threshold: config.gc.pauseThreshold,
        deletion_threshold: config.gc.deletionThreshold,
        mutation_threshold: config.gc.mutationThreshold,
        schedule_delay: `${config.gc.scheduleDelayMs}ms`,
        startup_delay: `${config.gc.startupDelayMs}ms`,
      },
      'io.containerd.monitor.container.v1.restart': { interval: `${config.restartIntervalMs}ms` },
      'io.containerd.metadata.v1.bolt': { content_sharing_policy: config.contentSharing },
      'io.containerd.snapshotter.v1.overlayfs': {
        layers: config.layerMode,
        slow_chown: config.slowChown,
      },
      'io.containerd.transfer.v1.local': {
        config_path: config.hostsDirs.join(':'),
        max_concurrent_downloads: config.maxConcurrentDownloads,
        max_concurrent_unpacks: config.maxConcurrentUnpacks,
      },
    },
  });
}

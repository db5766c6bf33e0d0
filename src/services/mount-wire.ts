import type { Mount } from '../snapshots/snapshotter.ts';

/** Mounts as containerd.types.Mount. */
export const mountsToWire = (mounts: readonly Mount[]) =>
  mounts.map(({ type, source, target, options }) => ({
    type,
    source,
    target: target ?? '',
    options: [...options],
  }));

/**
 * How a snapshotter keeps layers that are applied to empty snapshots: as EROFS images mounted from the file itself
 * (Linux 6.12), the same over a loop device, or as directories. `auto` is the first that works here, in this order.
 */
export const layerModes = ['auto', 'erofs', 'erofs-loop', 'directories'] as const;
/** One of {@link layerModes}. */
export type LayerMode = (typeof layerModes)[number];

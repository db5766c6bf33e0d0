/** containerd's labels on content, snapshots, images and leases; garbage collection and clients read them. */
export const labelNames = {
  uncompressed: 'containerd.io/uncompressed',
  snapshotRef: 'containerd.io/snapshot.ref',
  sourcePrefix: 'containerd.io/distribution.source.',
  snapshotPrefix: 'containerd.io/gc.ref.snapshot.',
  childPrefix: 'containerd.io/gc.ref.content.',
  /** RFC 3339: from then on the record itself keeps nothing from garbage collection. */
  expire: 'containerd.io/gc.expire',
  imageBackReference: 'containerd.io/gc.bref.image',
} as const;

/** Labels that Berth's verbs put on containers. */
export const containerLabels = {
  name: 'berth/name',
  /** The log URI, to start the container again with. */
  logs: 'berth/logs',
  autoRemove: 'berth/auto-remove',
  /** When its task was last started, RFC 3339. */
  startedAt: 'berth/started-at',
  /** containerd's clients read it to stop a container. */
  stopSignal: 'io.containerd.image.config.stop-signal',
} as const;

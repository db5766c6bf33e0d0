/** containerd's labels on content, snapshots, images and leases; garbage collection and clients read them. */
export const labelNames = {
  uncompressed: 'containerd.io/uncompressed',
  snapshotRef: 'containerd.io/snapshot.ref',
  sourcePrefix: 'containerd.io/distribution.source.',
  snapshotPrefix: 'containerd.io/gc.ref.snapshot.',
  childPrefix: 'containerd.io/gc.ref.content.',
  /** RFC 3339: from then on the record itself keeps nothing from garbage collection. */
  expire: 'containerd.io/gc.expire',
  /** Whose a snapshot's files are: `inside:outside:size`, several with commas between. */
  uidMapping: 'containerd.io/snapshot/uidmapping',
  gidMapping: 'containerd.io/snapshot/gidmapping',
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

/** containerd's labels by which its restart monitor keeps tasks running; nerdctl writes and reads them. */
export const restartLabels = {
  /** What the task should be: `running` or `stopped`. Without it nobody restarts the container. */
  status: 'containerd.io/restart.status',
  /** `no`, `always`, `on-failure[:count]`, `unless-stopped`; '' means always. */
  policy: 'containerd.io/restart.policy',
  /** How often it was restarted. */
  count: 'containerd.io/restart.count',
  /** Somebody stopped it: `unless-stopped` leaves it so. */
  explicitlyStopped: 'containerd.io/restart.explicitly-stopped',
  /** Where a restarted task writes; absent: nowhere. */
  logUri: 'containerd.io/restart.loguri',
  /** Berth's own: `FIRST[..LONGEST]` (`100ms..1m`). Restarts follow exits at once, later and later (decisions/0019). */
  backOff: 'berth/restart.back-off',
} as const;

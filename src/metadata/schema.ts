/**
 * The schema, one entry a version: `migrations[n]` takes a database from version n to n+1. Entries are never edited
 * once released, only added. Times are integer milliseconds since 1970; labels and annotations are JSON objects.
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE namespaces (
    name TEXT PRIMARY KEY,
    labels TEXT NOT NULL DEFAULT '{}'
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE images (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    labels TEXT NOT NULL,
    media_type TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    annotations TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE containers (
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    labels TEXT NOT NULL,
    image TEXT NOT NULL,
    runtime_name TEXT NOT NULL,
    runtime_options_type TEXT,
    runtime_options BLOB,
    spec_type TEXT,
    spec BLOB,
    snapshotter TEXT NOT NULL,
    snapshot_key TEXT NOT NULL,
    extensions TEXT NOT NULL,
    sandbox_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
  ) STRICT;

  CREATE TABLE blobs (
    namespace TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    labels TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, digest)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX blobs_by_digest ON blobs (digest);

  CREATE TABLE ingests (
    namespace TEXT NOT NULL,
    ref TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    total INTEGER NOT NULL,
    expected TEXT,
    shared TEXT,
    expires_at INTEGER,
    started_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, ref)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX ingests_by_shared ON ingests (shared) WHERE shared IS NOT NULL;

  CREATE TABLE snapshots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    snapshotter TEXT NOT NULL,
    name TEXT NOT NULL,
    parent INTEGER REFERENCES snapshots (id),
    kind TEXT NOT NULL CHECK (kind IN ('view', 'active', 'committed')),
    state TEXT NOT NULL CHECK (state IN ('preparing', 'ready')),
    labels TEXT NOT NULL,
    size INTEGER,
    inodes INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (namespace, snapshotter, name)
  ) STRICT;
  CREATE INDEX snapshots_by_parent ON snapshots (parent) WHERE parent IS NOT NULL;

  CREATE TABLE leases (
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    labels TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE lease_resources (
    namespace TEXT NOT NULL,
    lease TEXT NOT NULL,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (namespace, lease, type, id),
    FOREIGN KEY (namespace, lease) REFERENCES leases (namespace, id) ON DELETE CASCADE
  ) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE TABLE mounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('activating', 'active')),
    labels TEXT NOT NULL,
    lease TEXT,
    boot_id TEXT NOT NULL,
    active TEXT NOT NULL,
    system TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (namespace, name)
  ) STRICT;
  CREATE INDEX mounts_by_lease ON mounts (namespace, lease) WHERE lease IS NOT NULL;
  `,
  `
  CREATE TABLE sandboxes (
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    labels TEXT NOT NULL,
    runtime_name TEXT NOT NULL,
    runtime_options_type TEXT,
    runtime_options BLOB,
    spec_type TEXT,
    spec BLOB,
    extensions TEXT NOT NULL,
    sandboxer TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
  ) STRICT;
  `,
  `
  CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    topic TEXT NOT NULL,
    type TEXT NOT NULL,
    value BLOB NOT NULL
  ) STRICT;

  CREATE TABLE event_journal (
    epoch TEXT NOT NULL,
    pruned INTEGER NOT NULL
  ) STRICT;
  INSERT INTO event_journal VALUES (lower(hex(randomblob(6))), 0);
  `,
  `
  ALTER TABLE snapshots ADD COLUMN blob TEXT;
  CREATE INDEX snapshots_by_blob ON snapshots (blob) WHERE blob IS NOT NULL;
  `,
  // What container-wire.ts makes of the other columns; NULL in a row that an older Berth wrote.
  'ALTER TABLE containers ADD COLUMN wire_head BLOB',
];

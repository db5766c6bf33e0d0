import { nodeOf } from '../metadata/changes.ts';
import type { Step } from './check.ts';
import { resourceOf } from './holdings.ts';
import type { StorageParts } from './parts.ts';

const maxMessages = 20;

/** What SQLite says of its own file. */
export function* checkDatabase({ metadata: { db } }: StorageParts): Generator<Step> {
  for (const row of db.all<object>(`PRAGMA quick_check(${maxMessages})`)) {
    const message = String(Object.values(row)[0]);
    if (message !== 'ok') yield { fault: { kind: 'damaged-database', message } };
  }
}

interface Row {
  namespace: string;
  id: string;
  target: string;
}

/** Images without their target, containers without their snapshot. */
export function* checkReferences({ metadata: { db } }: StorageParts): Generator<Step> {
  const images = db.all<Row>(`SELECT namespace, name AS id, digest AS target FROM images i
    WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.namespace = i.namespace AND b.digest = i.digest)`);
  for (const { namespace, id, target } of images) {
    const message = `its target ${target} is not here: pull it again`;
    yield {
      fault: { kind: 'broken-reference', resource: resourceOf(nodeOf('image', namespace, id)), message },
    };
  }
  const containers =
    db.all<Row>(`SELECT namespace, id, snapshotter || '/' || snapshot_key AS target FROM containers c
    WHERE snapshotter <> '' AND NOT EXISTS (SELECT 1 FROM snapshots s WHERE s.namespace = c.namespace
      AND s.snapshotter = c.snapshotter AND s.name = c.snapshot_key)`);
  for (const { namespace, id, target } of containers) {
    const message = `its snapshot ${target} is not here`;
    yield {
      fault: { kind: 'broken-reference', resource: resourceOf(nodeOf('container', namespace, id)), message },
    };
  }
}

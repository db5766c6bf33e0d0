import type { Context } from '../async/context.ts';
import { notFound } from '../errors/error.ts';
import type { TopicEvent } from '../events/topics.ts';
import { type Changes, type NodeType, nodeOf } from './changes.ts';
import type { Db, Reader, Tx } from './db.ts';
import type { EventRecords } from './event-records.ts';

/** What every record store stands on. */
export interface Records {
  readonly db: Db;
  readonly journal: EventRecords;
  readonly changes: Changes;
}

/** A namespace exists from its first use on, as in containerd. */
export function ensureNamespace(tx: Tx, namespace: string): void {
  tx.run('INSERT OR IGNORE INTO namespaces (name) VALUES (?)', namespace);
}

/** Records the event with the mutation; it is published once that is durable. `namespace` defaults to the caller's. */
export function publishAfter(
  { journal }: Records,
  tx: Tx,
  ctx: Context,
  event: TopicEvent,
  namespace = ctx.namespace,
): void {
  journal.record(tx, { timestamp: new Date(), namespace, ...event });
}

/** Type of a lease's resource, as clients write it. */
export const leaseTypes = { content: 'content', ingest: 'ingests', image: 'images' } as const;
export const snapshotLeaseType = (snapshotter: string): string => `snapshots/${snapshotter}`;

export const hasLease = (db: Reader, namespace: string, id: string): boolean =>
  db.get('SELECT 1 FROM leases WHERE namespace = ? AND id = ?', namespace, id) !== undefined;
export const noLease = () => notFound('lease does not exist: not found');

/** Adds a resource to the caller's lease, if there is one. @returns whether. @throws not_found (unknown lease) */
export function addToLease(tx: Tx, ctx: Context, namespace: string, type: string, id: string): boolean {
  if (!ctx.lease) return false;
  if (!hasLease(tx, namespace, ctx.lease)) throw noLease();
  tx.run('INSERT OR IGNORE INTO lease_resources VALUES (?, ?, ?, ?)', namespace, ctx.lease, type, id);
  return true;
}

/** Takes a resource that is gone out of the caller's lease, if there is one. */
export function removeFromLease(tx: Tx, ctx: Context, namespace: string, type: string, id: string): void {
  if (!ctx.lease) return;
  tx.run(
    'DELETE FROM lease_resources WHERE namespace = ? AND lease = ? AND type = ? AND id = ?',
    namespace,
    ctx.lease,
    type,
    id,
  );
}

/** The node that a lease's resource stands for; undefined for a type the collector does not know. */
export function leasedNode(namespace: string, type: string, id: string) {
  if (type.startsWith('snapshots/')) return nodeOf('snapshot', namespace, `${type.slice(10)}/${id}`);
  const nodeType = nodeTypes[type];
  return nodeType && nodeOf(nodeType, namespace, id);
}

const nodeTypes: Readonly<Record<string, NodeType | undefined>> = {
  content: 'content',
  ingests: 'ingest',
  images: 'image',
};

import { randomBytes } from 'node:crypto';
import type { Context } from '../async/context.ts';
import { alreadyExists, invalidArgument, notFound, notImplemented } from '../errors/error.ts';
import { compileFilters } from '../events/filters.ts';
import { isDigest } from '../oci/digest.ts';
import type { Reader } from './db.ts';
import { validNamespace } from './identifiers.ts';
import { labelField, labelsFromJson, labelsToJson, validateLabels } from './labels.ts';
import type { Lease, LeaseResource, LeaseStore } from './lease-store.ts';
import { ensureNamespace, hasLease, leasedNode, type Records } from './records.ts';

interface Row {
  id: string;
  labels: string;
  created_at: number;
}

/** Leases in the database. `collect` runs a garbage collection and resolves when it is done. */
export class LeaseRecords implements LeaseStore {
  readonly #records: Records;
  readonly #collect: () => Promise<void>;

  constructor(records: Records, collect: () => Promise<void>) {
    this.#records = records;
    this.#collect = collect;
  }

  async create(ctx: Context, { id, labels = {} }: Partial<Pick<Lease, 'id' | 'labels'>>): Promise<Lease> {
    const namespace = validNamespace(ctx);
    const createdAt = new Date();
    const lease = { id: id || madeUpId(createdAt), createdAt, labels: labelsFromJson(labelsToJson(labels)) };
    await this.#records.db.write((tx) => {
      if (hasLease(tx, namespace, lease.id)) {
        throw alreadyExists(`lease ${JSON.stringify(lease.id)}: already exists`);
      }
      validateLabels(labels, 'lease.Labels');
      ensureNamespace(tx, namespace);
      const values = [namespace, lease.id, labelsToJson(labels), createdAt.getTime()];
      tx.run('INSERT INTO leases VALUES (?, ?, ?, ?)', ...values);
    });
    return lease;
  }

  async delete(ctx: Context, id: string, { sync = false }: { sync?: boolean } = {}): Promise<void> {
    const namespace = validNamespace(ctx);
    await this.#records.db.write((tx) => {
      mustExist(tx, namespace, id);
      tx.run('DELETE FROM leases WHERE namespace = ? AND id = ?', namespace, id);
      this.#records.changes.deleted();
    });
    if (sync) await this.#collect();
  }

  async list(ctx: Context, filters: readonly string[] = []): Promise<Lease[]> {
    const namespace = validNamespace(ctx);
    const matches = compileFilters(filters);
    return this.#records.db
      .all<Row>('SELECT id, labels, created_at FROM leases WHERE namespace = ? ORDER BY id', namespace)
      .map(fromRow)
      .filter((lease) => matches((path) => fieldOf(lease, path)));
  }

  async addResource(ctx: Context, leaseId: string, { id, type }: LeaseResource): Promise<void> {
    const namespace = validNamespace(ctx);
    await this.#records.db.write((tx) => {
      mustExist(tx, namespace, leaseId);
      validateResource(id, type);
      if (id === '') throw invalidArgument('resource id must not be empty: invalid argument');
      tx.run('INSERT OR IGNORE INTO lease_resources VALUES (?, ?, ?, ?)', namespace, leaseId, type, id);
      const node = leasedNode(namespace, type, id);
      if (node) this.#records.changes.touch(node);
    });
  }

  async deleteResource(ctx: Context, leaseId: string, { id, type }: LeaseResource): Promise<void> {
    const namespace = validNamespace(ctx);
    await this.#records.db.write((tx) => {
      mustExist(tx, namespace, leaseId);
      validateResource(id, type);
      const where = 'namespace = ? AND lease = ? AND type = ? AND id = ?';
      tx.run(`DELETE FROM lease_resources WHERE ${where}`, namespace, leaseId, type, id);
      this.#records.changes.deleted();
    });
  }

  async listResources(ctx: Context, leaseId: string): Promise<LeaseResource[]> {
    const namespace = validNamespace(ctx);
    const { db } = this.#records;
    mustExist(db, namespace, leaseId);
    return db
      .all<{ id: string; type: string }>(
        'SELECT id, type FROM lease_resources WHERE namespace = ? AND lease = ? ORDER BY type, id',
        namespace,
        leaseId,
      )
      .map(({ id, type }) => ({ id, type }));
  }
}

function mustExist(db: Reader, namespace: string, id: string): void {
  if (!hasLease(db, namespace, id)) throw notFound(`lease ${JSON.stringify(id)}: not found`);
}

const madeUpId = (at: Date): string => `${at.getTime()}-${randomBytes(6).toString('base64url')}`;

function validateResource(id: string, type: string): void {
  validateType(type);
  if (type === 'content' && !isDigest(id)) {
    throw invalidArgument(`invalid content resource id ${id.slice(0, 100)}: invalid argument`);
  }
}

function validateType(type: string): void {
  const [kind, ...rest] = type.split('/');
  if (kind === 'snapshots') {
    if (rest.length === 1 && rest[0] !== '') return;
    throw invalidArgument(`invalid snapshot resource type ${type}: invalid argument`);
  }
  if (kind !== 'content' && kind !== 'ingests' && kind !== 'images') {
    throw notImplemented(`resource type ${type} not supported yet: not implemented`);
  }
  if (rest.length > 0) throw invalidArgument(`invalid resource type ${type}: invalid argument`);
}

const fromRow = ({ id, labels, created_at }: Row): Lease => ({
  id,
  labels: labelsFromJson(labels),
  createdAt: new Date(created_at),
});

function fieldOf(lease: Lease, [field, ...rest]: readonly string[]): string | undefined {
  if (field === 'id') return lease.id;
  return field === 'labels' ? labelField(lease.labels, rest) : undefined;
}

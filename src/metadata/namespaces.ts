import type { Context } from '../async/context.ts';
import { alreadyExists, failedPrecondition, invalidArgument, notFound } from '../errors/error.ts';
import { makeEvent } from '../events/topics.ts';
import type { Reader } from './db.ts';
import { validateIdentifier } from './identifiers.ts';
import { type Labels, labelOf, labelsFromJson, labelsToJson, validateLabels, withEntry } from './labels.ts';
import type { Namespace, NamespaceStore } from './namespace-store.ts';
import { ensureNamespace, publishAfter, type Records } from './records.ts';

interface Row {
  name: string;
  labels: string;
}

/** Namespaces in the database; they also come to be by use. */
export class NamespaceRecords implements NamespaceStore {
  readonly #records: Records;

  constructor(records: Records) {
    this.#records = records;
  }

  async labels(_ctx: Context, name: string): Promise<Labels> {
    return find(this.#records.db, name)?.labels ?? {};
  }

  async list(_ctx: Context): Promise<Namespace[]> {
    return this.#records.db.all<Row>('SELECT * FROM namespaces ORDER BY name').map(fromRow);
  }

  async create(ctx: Context, { name, labels }: Namespace): Promise<Namespace> {
    validateIdentifier(name);
    validateLabels(labels, 'namespace.Labels');
    await this.#records.db.write((tx) => {
      if (find(tx, name)) throw alreadyExists(`namespace ${JSON.stringify(name)}: already exists`);
      tx.run('INSERT INTO namespaces VALUES (?, ?)', name, labelsToJson(labels));
      publishAfter(this.#records, tx, ctx, makeEvent('namespaceCreate', eventOf(name, labels)), name);
    });
    return { name, labels };
  }

  async update(
    ctx: Context,
    { name, labels }: Namespace,
    fieldPaths: readonly string[] = [],
  ): Promise<Namespace> {
    validateIdentifier(name);
    return this.#records.db.write((tx) => {
      // As in containerd: no label, no namespace.
      if (fieldPaths.length > 0 || Object.keys(labels).length > 0) ensureNamespace(tx, name);
      const current = find(tx, name)?.labels ?? {};
      const wanted = fieldPaths.length === 0 ? labels : fieldPaths.reduce(applyPath(labels), current);
      validateLabels(wanted, 'namespace.Labels');
      tx.run('UPDATE namespaces SET labels = ? WHERE name = ?', labelsToJson(wanted), name);
      publishAfter(this.#records, tx, ctx, makeEvent('namespaceUpdate', eventOf(name, labels)), name);
      return { name, labels: labelsFromJson(labelsToJson(wanted)) };
    });
  }

  async delete(ctx: Context, name: string): Promise<void> {
    await this.#records.db.write((tx) => {
      if (!find(tx, name)) throw notFound(`namespace ${JSON.stringify(name)}: not found`);
      const left = contentsOf(tx, name);
      if (left.length > 0) {
        throw failedPrecondition(
          `namespace ${JSON.stringify(name)} must be empty, but it still has ${left.join(', ')}: failed precondition`,
        );
      }
      tx.run('DELETE FROM leases WHERE namespace = ?', name);
      tx.run('DELETE FROM sandboxes WHERE namespace = ?', name);
      // Out of everybody's sight; the collector removes them, with their bytes.
      tx.run("UPDATE ingests SET namespace = '', ref = key, expires_at = 0 WHERE namespace = ?", name);
      tx.run('DELETE FROM namespaces WHERE name = ?', name);
      this.#records.changes.deleted();
      publishAfter(this.#records, tx, ctx, makeEvent('namespaceDelete', { name }), name);
    });
  }
}

/** Events carry the labels as they were sent. */
const eventOf = (name: string, labels: Labels) => ({ name, labels: { ...labels } });

const applyPath =
  (wanted: Labels) =>
  (labels: Labels, path: string): Labels => {
    const key = path.slice('labels.'.length);
    if (path.startsWith('labels.')) return withEntry(labels, key, labelOf(wanted, key));
    throw invalidArgument(`cannot update ${JSON.stringify(path)} field`);
  };

/** What keeps a namespace from being deleted, in containerd's words. */
function contentsOf(db: Reader, name: string): string[] {
  const left = (['images', 'blobs', 'containers'] as const).filter((table) =>
    db.get(`SELECT 1 FROM ${table} WHERE namespace = ? LIMIT 1`, name),
  );
  const snapshotters = db.all<{ snapshotter: string }>(
    'SELECT DISTINCT snapshotter FROM snapshots WHERE namespace = ? ORDER BY snapshotter',
    name,
  );
  return [...left, ...snapshotters.map(({ snapshotter }) => `snapshots on "${snapshotter}" snapshotter`)];
}

function find(db: Reader, name: string): Namespace | undefined {
  const row = db.get<Row>('SELECT * FROM namespaces WHERE name = ?', name);
  return row && fromRow(row);
}

const fromRow = ({ name, labels }: Row): Namespace => ({ name, labels: labelsFromJson(labels) });

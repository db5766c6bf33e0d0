import type { Context } from '../async/context.ts';
import { alreadyExists, invalidArgument, notFound } from '../errors/error.ts';
import { compileFilters } from '../events/filters.ts';
import { makeEvent } from '../events/topics.ts';
import type { Any } from '../oci/any.ts';
import { nodeOf } from './changes.ts';
import { type ContainerRow, fromRow, toParams } from './container-row.ts';
import type { Container, ContainerStore, NewContainer } from './container-store.ts';
import { joinWire, wireOf } from './container-wire.ts';
import type { Reader, Tx } from './db.ts';
import { EncodedContainers } from './encoded-containers.ts';
import { validateIdentifier, validNamespace } from './identifiers.ts';
import { labelField, labelOf, labelsFromJson, labelsToJson, validateLabels, withEntry } from './labels.ts';
import { ensureNamespace, publishAfter, type Records } from './records.ts';

type Change = Partial<NewContainer> & { id: string };

/** What an update without field paths replaces; the rest is immutable. */
const replaceable = ['labels', 'spec', 'extensions', 'image', 'snapshotkey'];

/** Containers read at a time; their specs have some kilobytes each. */
const pageRows = 64;
const one = 'FROM containers WHERE namespace = ? AND id = ?';
const nextPage = 'FROM containers WHERE namespace = ? AND id > ? ORDER BY id LIMIT ?';

/** What a container's wire form is made of. */
type WireRow = Pick<ContainerRow, 'spec' | 'wire_head'>;

/** Container records in the database. */
export class ContainerRecords implements ContainerStore {
  readonly #records: Records;
  readonly #encoded = new EncodedContainers();

  constructor(records: Records) {
    this.#records = records;
  }

  async get(ctx: Context, id: string): Promise<Container> {
    const namespace = validNamespace(ctx);
    return find(this.#records.db, namespace, id) ?? notThere(namespace, id);
  }

  async getEncoded(ctx: Context, id: string): Promise<Uint8Array> {
    return this.#wire(validNamespace(ctx), id);
  }

  async list(ctx: Context, filters: readonly string[] = []): Promise<Container[]> {
    const namespace = validNamespace(ctx);
    const matches = matcher(filters);
    const rows = this.#pages<ContainerRow>('SELECT *', namespace);
    return rows.flatMap((page) => page.map(fromRow).filter(matches)).toArray();
  }

  async *walkEncoded(ctx: Context, filters: readonly string[] = []): AsyncGenerator<Uint8Array[]> {
    const namespace = validNamespace(ctx);
    const matches = matcher(filters);
    const pages: Iterable<{ id: string }[]> =
      filters.length === 0
        ? this.#pages<{ id: string }>('SELECT id', namespace)
        : this.#pages<ContainerRow>('SELECT *', namespace).map((page) =>
            page.filter((row) => matches(fromRow(row))),
          );
    for (const page of pages) yield page.map(({ id }) => this.#wire(namespace, id));
  }

  /** Each page is read when it is asked for, after the last id of the one before: nothing stays open between them. */
  *#pages<Row extends { id: string }>(columns: string, namespace: string): Generator<Row[]> {
    for (let last: string | undefined = ''; last !== undefined; ) {
      const rows: Row[] = this.#records.db.all<Row>(`${columns} ${nextPage}`, namespace, last, pageRows);
      last = rows.length < pageRows ? undefined : rows.at(-1)?.id;
      yield rows;
    }
  }

  #wire(namespace: string, id: string): Uint8Array {
    const held = this.#encoded.get(namespace, id);
    if (held !== undefined) return held;
    const row = this.#records.db.get<WireRow>(`SELECT spec, wire_head ${one}`, namespace, id);
    if (row === undefined) return notThere(namespace, id);
    const wire = row.wire_head === null ? this.#wireOfOld(namespace, id) : joinWire(row.wire_head, row.spec);
    this.#encoded.set(namespace, id, wire);
    return wire;
  }

  #wireOfOld(namespace: string, id: string): Uint8Array {
    return wireOf(find(this.#records.db, namespace, id) ?? notThere(namespace, id));
  }

  async create(ctx: Context, container: NewContainer): Promise<Container> {
    const namespace = validNamespace(ctx);
    validate(container, 'create container failed validation');
    const now = new Date();
    const created = stored(container, now, now);
    await this.#records.db.write((tx) => {
      if (find(tx, namespace, container.id)) {
        throw alreadyExists(`container ${JSON.stringify(container.id)}: already exists`);
      }
      ensureNamespace(tx, namespace);
      this.#put(tx, namespace, created);
      publishAfter(this.#records, tx, ctx, createdEvent(created));
    });
    return created;
  }

  async update(ctx: Context, change: Change, fieldPaths: readonly string[] = []): Promise<Container> {
    const namespace = validNamespace(ctx);
    if (change.id === '') throw invalidArgument('must specify a container id: invalid argument');
    return this.#records.db.write((tx) => {
      const current = find(tx, namespace, change.id);
      if (!current) throw notFound(`container ${JSON.stringify(change.id)}: not found`);
      if (fieldPaths.length === 0) mustKeepImmutable(current, change);
      const paths = fieldPaths.length === 0 ? replaceable : fieldPaths;
      const changed = paths.reduce<NewContainer>(applyPath(change), current);
      validate(changed, 'update failed validation');
      // Only here, as in containerd: one that was made without waits for an update that brings it.
      if (changed.spec === undefined)
        throw invalidArgument('update failed validation: container.Spec must be set: invalid argument');
      const updated = stored(changed, current.createdAt, new Date());
      this.#put(tx, namespace, updated);
      publishAfter(this.#records, tx, ctx, updatedEvent(updated));
      return updated;
    });
  }

  async delete(ctx: Context, id: string): Promise<void> {
    const namespace = validNamespace(ctx);
    await this.#records.db.write((tx) => {
      const { changes } = tx.run('DELETE FROM containers WHERE namespace = ? AND id = ?', namespace, id);
      if (changes === 0) {
        throw notFound(`container ${id}: not found`);
      }
      this.#encoded.forget(namespace, id);
      this.#records.changes.deleted();
      publishAfter(this.#records, tx, ctx, makeEvent('containerDelete', { id }));
    });
  }

  releaseMemory(): void {
    this.#encoded.clear();
  }

  #put(tx: Tx, namespace: string, container: Container): void {
    this.#encoded.forget(namespace, container.id);
    tx.run(
      'INSERT OR REPLACE INTO containers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      namespace,
      ...toParams(container),
    );
    this.#records.changes.touch(nodeOf('container', namespace, container.id));
  }
}

const createdEvent = ({ id, image, runtime }: Container) =>
  makeEvent('containerCreate', {
    id,
    image,
    runtime: { name: runtime.name, ...(runtime.options && { options: { ...runtime.options } }) },
  });

const updatedEvent = ({ id, image, labels, snapshotKey }: Container) =>
  makeEvent('containerUpdate', { id, image, labels: { ...labels }, snapshotKey });

function find(db: Reader, namespace: string, id: string): Container | undefined {
  const row = db.get<ContainerRow>(`SELECT * ${one}`, namespace, id);
  return row && fromRow(row);
}

function notThere(namespace: string, id: string): never {
  throw notFound(`container ${JSON.stringify(id)} in namespace ${JSON.stringify(namespace)}: not found`);
}

const stored = (container: NewContainer, createdAt: Date, updatedAt: Date): Container => ({
  ...container,
  labels: labelsFromJson(labelsToJson(container.labels)),
  createdAt,
  updatedAt,
});

function mustKeepImmutable(current: Container, change: Change): void {
  if ((change.snapshotter ?? '') !== current.snapshotter) {
    throw invalidArgument('container.Snapshotter field is immutable: invalid argument');
  }
  if ((change.runtime?.name ?? '') !== current.runtime.name) {
    throw invalidArgument('container.Runtime.Name field is immutable: invalid argument');
  }
}

function applyPath(change: Change) {
  const wanted = { labels: change.labels ?? {}, extensions: change.extensions ?? {} };
  return (container: NewContainer, path: string): NewContainer => {
    if (path === 'labels') return { ...container, labels: wanted.labels };
    if (path === 'spec') return { ...container, spec: change.spec ?? container.spec };
    if (path === 'extensions') return { ...container, extensions: wanted.extensions };
    if (path === 'image') return { ...container, image: change.image ?? '' };
    if (path === 'snapshotkey') return { ...container, snapshotKey: change.snapshotKey ?? '' };
    if (path.startsWith('labels.')) {
      const key = path.slice(7);
      return { ...container, labels: withEntry(container.labels, key, labelOf(wanted.labels, key)) };
    }
    if (path.startsWith('extensions.')) {
      const key = path.slice(11);
      const value: Any | undefined = Object.hasOwn(wanted.extensions, key)
        ? wanted.extensions[key]
        : undefined;
      return { ...container, extensions: withEntry(container.extensions, key, value) };
    }
    throw invalidArgument(
      `cannot update ${JSON.stringify(path)} field on ${JSON.stringify(container.id)}: invalid argument`,
    );
  };
}

function validate(container: NewContainer, context: string): void {
  try {
    validateIdentifier(container.id);
  } catch (error) {
    throw invalidArgument(
      `${context}: container.ID: ${error instanceof Error ? error.message : error}`,
      error,
    );
  }
  validateLabels(container.labels, `${context}: containers.Labels`);
  const fault = faultOf(container);
  if (fault) throw invalidArgument(`${context}: ${fault}: invalid argument`);
}

function faultOf(container: NewContainer): string | undefined {
  if (Object.hasOwn(container.extensions, '')) return 'container.Extension keys must not be zero-length';
  if (container.runtime.name === '') return 'container.Runtime.Name must be set';
  if (container.snapshotKey !== '' && container.snapshotter === '') {
    return 'container.Snapshotter must be set if container.SnapshotKey is set';
  }
  return undefined;
}

function matcher(filters: readonly string[]): (container: Container) => boolean {
  const matches = compileFilters(filters);
  return (container) => matches((path) => fieldOf(container, path));
}

function fieldOf(container: Container, [field, ...rest]: readonly string[]): string | undefined {
  if (field === 'id') return container.id;
  if (field === 'image') return container.image || undefined;
  if (field === 'labels') return labelField(container.labels, rest);
  return field === 'runtime' && rest[0] === 'name' ? container.runtime.name : undefined;
}

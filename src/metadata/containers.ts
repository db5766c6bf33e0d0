import type { Context } from '../async/context.ts';
import { alreadyExists, invalidArgument, notFound } from '../errors/error.ts';
import { compileFilters } from '../events/filters.ts';
import { makeEvent } from '../events/topics.ts';
import type { Any } from '../oci/any.ts';
import { nodeOf } from './changes.ts';
import { type ContainerRow, fromRow, toParams } from './container-row.ts';
import type { Container, ContainerStore, NewContainer } from './container-store.ts';
import type { Reader, Tx } from './db.ts';
import { validateIdentifier, validNamespace } from './identifiers.ts';
import { labelField, labelOf, labelsFromJson, labelsToJson, validateLabels, withEntry } from './labels.ts';
import { ensureNamespace, publishAfter, type Records } from './records.ts';

type Change = Partial<NewContainer> & { id: string };

/** What an update without field paths replaces; the rest is immutable. */
const replaceable = ['labels', 'spec', 'extensions', 'image', 'snapshotkey'];

/** Containers read at a time; their specs have some kilobytes each. */
const pageRows = 64;
const nextPage = 'SELECT * FROM containers WHERE namespace = ? AND id > ? ORDER BY id LIMIT ?';

/** Container records in the database. */
export class ContainerRecords implements ContainerStore {
  readonly #records: Records;

  constructor(records: Records) {
    this.#records = records;
  }

  async get(ctx: Context, id: string): Promise<Container> {
    const namespace = validNamespace(ctx);
    const found = find(this.#records.db, namespace, id);
    if (found) return found;
    throw notFound(`container ${JSON.stringify(id)} in namespace ${JSON.stringify(namespace)}: not found`);
  }

  async list(ctx: Context, filters: readonly string[] = []): Promise<Container[]> {
    return [...this.#pages(ctx, filters)].flat();
  }

  async *walk(ctx: Context, filters: readonly string[] = []): AsyncGenerator<Container> {
    for (const page of this.#pages(ctx, filters)) yield* page;
  }

  /** Each page is read when it is asked for, after the last id of the one before: nothing stays open between them. */
  *#pages(ctx: Context, filters: readonly string[]): Generator<Container[]> {
    const namespace = validNamespace(ctx);
    const matches = compileFilters(filters);
    for (let last: string | undefined = ''; last !== undefined; ) {
      const rows: ContainerRow[] = this.#records.db.all<ContainerRow>(nextPage, namespace, last, pageRows);
      yield rows.map(fromRow).filter((container) => matches((path) => fieldOf(container, path)));
      last = rows.length < pageRows ? undefined : rows.at(-1)?.id;
    }
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
      this.#records.changes.deleted();
      publishAfter(this.#records, tx, ctx, makeEvent('containerDelete', { id }));
    });
  }

  #put(tx: Tx, namespace: string, container: Container): void {
    tx.run(
      'INSERT OR REPLACE INTO containers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
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
  const row = db.get<ContainerRow>('SELECT * FROM containers WHERE namespace = ? AND id = ?', namespace, id);
  return row && fromRow(row);
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

function fieldOf(container: Container, [field, ...rest]: readonly string[]): string | undefined {
  if (field === 'id') return container.id;
  if (field === 'image') return container.image || undefined;
  if (field === 'labels') return labelField(container.labels, rest);
  return field === 'runtime' && rest[0] === 'name' ? container.runtime.name : undefined;
}

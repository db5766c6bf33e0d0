import type { Context } from '../async/context.ts';
import { alreadyExists, invalidArgument, notFound } from '../errors/error.ts';
import { compileFilters } from '../events/filters.ts';
import { makeEvent } from '../events/topics.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { parseDigest } from '../oci/digest.ts';
import { labelNames } from '../oci/label-names.ts';
import { nodeOf } from './changes.ts';
import type { Reader, Tx } from './db.ts';
import { validNamespace } from './identifiers.ts';
import type { Image, ImageStore } from './image-store.ts';
import { labelField, labelOf, labelsFromJson, labelsToJson, validateLabels, withEntry } from './labels.ts';
import {
  addToLease,
  ensureNamespace,
  leaseTypes,
  publishAfter,
  type Records,
  removeFromLease,
} from './records.ts';

type NewImage = Pick<Image, 'name' | 'labels' | 'target'>;

interface Row {
  name: string;
  labels: string;
  media_type: string;
  digest: string;
  size: number;
  annotations: string;
  created_at: number;
  updated_at: number;
}

/** Image records in the database. `collect` runs a garbage collection and resolves when it is done. */
export class ImageRecords implements ImageStore {
  readonly #records: Records;
  readonly #collect: () => Promise<void>;

  constructor(records: Records, collect: () => Promise<void>) {
    this.#records = records;
    this.#collect = collect;
  }

  async get(ctx: Context, name: string): Promise<Image> {
    return read(this.#records.db, validNamespace(ctx), name);
  }

  async list(ctx: Context, filters: readonly string[] = []): Promise<Image[]> {
    const namespace = validNamespace(ctx);
    const matches = compileFilters(filters);
    return this.#records.db
      .all<Row>('SELECT * FROM images WHERE namespace = ? ORDER BY name', namespace)
      .map(fromRow)
      .filter((image) => matches((path) => fieldOf(image, path)));
  }

  async create(ctx: Context, image: NewImage & { createdAt?: Date }): Promise<Image> {
    const namespace = validNamespace(ctx);
    validate(image);
    const at = image.createdAt ?? new Date();
    const created = stored(image, at, at);
    await this.#records.db.write((tx) => {
      if (exists(tx, namespace, image.name)) {
        throw alreadyExists(`image ${JSON.stringify(image.name)}: already exists`);
      }
      ensureNamespace(tx, namespace);
      this.#put(tx, ctx, namespace, created);
      publishAfter(this.#records, tx, ctx, makeEvent('imageCreate', namesOf(created)));
    });
    return created;
  }

  async update(
    ctx: Context,
    image: NewImage & { updatedAt?: Date },
    fieldPaths: readonly string[] = [],
  ): Promise<Image> {
    const namespace = validNamespace(ctx);
    if (image.name === '') throw invalidArgument('image name is required for update: invalid argument');
    return this.#records.db.write((tx) => {
      const current = read(tx, namespace, image.name);
      const changed = fieldPaths.length === 0 ? image : fieldPaths.reduce(applyPath(image), current);
      validate(changed);
      const updated = stored(changed, current.createdAt, image.updatedAt ?? new Date());
      this.#put(tx, ctx, namespace, updated);
      publishAfter(this.#records, tx, ctx, makeEvent('imageUpdate', namesOf(updated)));
      return updated;
    });
  }

  async delete(
    ctx: Context,
    name: string,
    { sync = false, target }: { sync?: boolean; target?: Descriptor } = {},
  ): Promise<void> {
    const namespace = validNamespace(ctx);
    await this.#records.db.write((tx) => {
      const current = read(tx, namespace, name);
      if (target?.digest && target.digest !== current.target.digest) {
        throw notFound(
          `image ${JSON.stringify(name)} has target ${current.target.digest}, not ${target.digest}: not found`,
        );
      }
      tx.run('DELETE FROM images WHERE namespace = ? AND name = ?', namespace, name);
      removeFromLease(tx, ctx, namespace, leaseTypes.image, name);
      this.#records.changes.deleted();
      publishAfter(this.#records, tx, ctx, makeEvent('imageDelete', { name }));
    });
    if (sync) await this.#collect();
  }

  #put(tx: Tx, ctx: Context, namespace: string, image: Image): void {
    const { target } = image;
    tx.run(
      'INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
      namespace,
      image.name,
      labelsToJson(image.labels),
      target.mediaType,
      target.digest,
      target.size,
      labelsToJson(target.annotations ?? {}),
      image.createdAt.getTime(),
      image.updatedAt.getTime(),
    );
    // Images are roots; only one that expires needs the lease.
    if (labelOf(image.labels, labelNames.expire) !== undefined) {
      addToLease(tx, ctx, namespace, leaseTypes.image, image.name);
    }
    this.#records.changes.touch(nodeOf('image', namespace, image.name));
  }
}

const namesOf = ({ name, labels }: Image) => ({ name, labels: { ...labels } });

const exists = (db: Reader, namespace: string, name: string): boolean =>
  db.get('SELECT 1 FROM images WHERE namespace = ? AND name = ?', namespace, name) !== undefined;

function read(db: Reader, namespace: string, name: string): Image {
  const row = db.get<Row>('SELECT * FROM images WHERE namespace = ? AND name = ?', namespace, name);
  if (!row) throw notFound(`image ${JSON.stringify(name)}: not found`);
  return fromRow(row);
}

function fromRow(row: Row): Image {
  const annotations = labelsFromJson(row.annotations);
  return {
    name: row.name,
    labels: labelsFromJson(row.labels),
    target: {
      mediaType: row.media_type,
      digest: parseDigest(row.digest),
      size: row.size,
      ...(Object.keys(annotations).length > 0 && { annotations }),
    },
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}

/** What a create or update answers: exactly what a get will. */
function stored({ name, labels, target }: NewImage, createdAt: Date, updatedAt: Date): Image {
  const { mediaType, digest, size } = target;
  const annotations = labelsFromJson(labelsToJson(target.annotations ?? {}));
  return {
    name,
    labels: labelsFromJson(labelsToJson(labels)),
    target: {
      mediaType,
      digest,
      size,
      ...(Object.keys(annotations).length > 0 && { annotations }),
    },
    createdAt,
    updatedAt,
  };
}

function validate({ name, labels, target }: NewImage): void {
  if (name === '') throw invalidArgument('image name must not be empty: invalid argument');
  validateLabels(labels, 'image.Labels');
  parseDigest(target.digest);
  if (!(target.size > 0)) throw invalidArgument('target.Size must be greater than zero: invalid argument');
  if (target.mediaType === '') throw invalidArgument('target.MediaType must be set: invalid argument');
  const nameless = target.annotations?.[''];
  if (nameless !== undefined)
    throw invalidArgument(
      `writing Annotations for image ${name}: failed to set label ""=${JSON.stringify(nameless)}: key required`,
    );
}

function applyPath(wanted: NewImage) {
  return (image: NewImage, path: string): NewImage => {
    const { target } = image;
    if (path === 'target') return { ...image, target: wanted.target };
    if (path === 'labels') return { ...image, labels: wanted.labels };
    if (path === 'annotations') {
      return { ...image, target: { ...target, annotations: wanted.target.annotations ?? {} } };
    }
    if (path.startsWith('labels.')) {
      const key = path.slice(7);
      return { ...image, labels: withEntry(image.labels, key, labelOf(wanted.labels, key)) };
    }
    if (path.startsWith('annotations.')) {
      const key = path.slice(12);
      const annotations = withEntry(
        target.annotations ?? {},
        key,
        labelOf(wanted.target.annotations ?? {}, key),
      );
      return { ...image, target: { ...target, annotations } };
    }
    throw invalidArgument(
      `cannot update ${JSON.stringify(path)} field on image ${JSON.stringify(image.name)}: invalid argument`,
    );
  };
}

function fieldOf(image: Image, [field, ...rest]: readonly string[]): string | undefined {
  if (field === 'name') return image.name;
  if (field === 'labels') return labelField(image.labels, rest);
  if (field === 'annotations') return labelField(image.target.annotations ?? {}, rest);
  if (field !== 'target') return undefined;
  if (rest[0] === 'digest') return image.target.digest;
  return rest[0] === 'mediatype' ? image.target.mediaType : undefined;
}

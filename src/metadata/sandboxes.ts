import type { Context } from '../async/context.ts';
import { alreadyExists, invalidArgument, messageOf, notFound, unknown } from '../errors/error.ts';
import { compileFilters } from '../events/filters.ts';
import { nodeOf } from './changes.ts';
import { anyOf, extensionsJson, extensionsOf } from './container-row.ts';
import type { Reader, Tx } from './db.ts';
import { validateIdentifier, validNamespace } from './identifiers.ts';
import { labelField, labelOf, labelsFromJson, labelsToJson, withEntry } from './labels.ts';
import { ensureNamespace, type Records } from './records.ts';
import type { NewSandbox, Sandbox, SandboxStore } from './sandbox-store.ts';

interface Row {
  id: string;
  labels: string;
  runtime_name: string;
  runtime_options_type: string | null;
  runtime_options: Uint8Array | null;
  spec_type: string | null;
  spec: Uint8Array | null;
  extensions: string;
  sandboxer: string;
  created_at: number;
  updated_at: number;
}

/** What an update without field paths replaces. */
const replaceable = ['labels', 'extensions', 'spec', 'runtime'];

/** Sandbox records in the database. */
export class SandboxRecords implements SandboxStore {
  readonly #records: Records;

  constructor(records: Records) {
    this.#records = records;
  }

  async get(ctx: Context, id: string): Promise<Sandbox> {
    return get(this.#records.db, validNamespace(ctx), id);
  }

  async list(ctx: Context, filters: readonly string[] = []): Promise<Sandbox[]> {
    const matches = compileFilters(filters);
    return this.#records.db
      .all<Row>('SELECT * FROM sandboxes WHERE namespace = ? ORDER BY id', validNamespace(ctx))
      .map(fromRow)
      .filter(({ id, labels }) =>
        matches(([field, ...rest]) => {
          if (field === 'id') return id;
          return field === 'labels' ? labelField(labels, rest) : undefined;
        }),
      );
  }

  async create(ctx: Context, sandbox: NewSandbox): Promise<Sandbox> {
    const namespace = validNamespace(ctx);
    validateId(sandbox.id, 'failed to validate sandbox: ');
    refuseNamelessExtension(sandbox, 'write error: ');
    const now = new Date();
    await this.#records.db.write((tx) => {
      if (find(tx, namespace, sandbox.id))
        throw alreadyExists(
          `write error: sandbox bucket ${JSON.stringify(sandbox.id)} already exists: already exists`,
        );
      ensureNamespace(tx, namespace);
      this.#put(tx, namespace, { ...sandbox, createdAt: now, updatedAt: now });
    });
    return get(this.#records.db, namespace, sandbox.id);
  }

  async update(ctx: Context, sandbox: NewSandbox, fieldPaths: readonly string[] = []): Promise<Sandbox> {
    const namespace = validNamespace(ctx);
    return this.#records.db.write((tx) => {
      const current = get(tx, namespace, sandbox.id);
      if (fieldPaths.length === 0 && current.runtime.name !== sandbox.runtime.name)
        throw invalidArgument('sandbox.Runtime.Name field is immutable: invalid argument');
      const paths = fieldPaths.length === 0 ? replaceable : fieldPaths;
      const changed = paths.reduce<NewSandbox>(applyPath(sandbox), current);
      refuseNamelessExtension(changed, '');
      this.#records.changes.deleted();
      this.#put(tx, namespace, { ...changed, createdAt: current.createdAt, updatedAt: new Date() });
      return get(tx, namespace, sandbox.id);
    });
  }

  async delete(ctx: Context, id: string): Promise<void> {
    const namespace = validNamespace(ctx);
    await this.#records.db.write((tx) => {
      mustHaveAny(tx, namespace);
      const { changes } = tx.run('DELETE FROM sandboxes WHERE namespace = ? AND id = ?', namespace, id);
      if (changes === 0) throw notFound(`failed to delete sandbox ${JSON.stringify(id)}: not found`);
      this.#records.changes.deleted();
    });
  }

  #put(tx: Tx, namespace: string, sandbox: Sandbox): void {
    put(tx, namespace, sandbox);
    this.#records.changes.touch(nodeOf('sandbox', namespace, sandbox.id));
  }
}

function validateId(id: string, context: string): void {
  try {
    validateIdentifier(id);
  } catch (error) {
    throw invalidArgument(`${context}invalid sandbox ID: ${messageOf(error)}`, error);
  }
}

function refuseNamelessExtension({ extensions }: NewSandbox, context: string): void {
  if (Object.hasOwn(extensions, '')) throw unknown(`${context}key required`);
}

/** Labels and extensions that are not given are taken away. */
function applyPath(wanted: NewSandbox) {
  return (sandbox: NewSandbox, path: string): NewSandbox => {
    if (path === 'labels') return { ...sandbox, labels: wanted.labels };
    if (path === 'extensions') return { ...sandbox, extensions: wanted.extensions };
    if (path === 'runtime') return { ...sandbox, runtime: wanted.runtime };
    if (path === 'spec') return { ...sandbox, spec: wanted.spec };
    if (path.startsWith('labels.')) {
      const key = path.slice(7);
      return { ...sandbox, labels: withEntry(sandbox.labels, key, labelOf(wanted.labels, key)) };
    }
    if (path.startsWith('extensions.')) {
      const key = path.slice(11);
      const value = Object.hasOwn(wanted.extensions, key) ? wanted.extensions[key] : undefined;
      return { ...sandbox, extensions: withEntry(sandbox.extensions, key, value) };
    }
    throw invalidArgument(
      `cannot update ${JSON.stringify(path)} field on sandbox ${JSON.stringify(wanted.id)}: invalid argument`,
    );
  };
}

function put(tx: Tx, namespace: string, sandbox: Sandbox): void {
  const { options } = sandbox.runtime;
  tx.run(
    'INSERT OR REPLACE INTO sandboxes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    namespace,
    sandbox.id,
    labelsToJson(sandbox.labels),
    sandbox.runtime.name,
    options?.typeUrl ?? null,
    options?.value ?? null,
    sandbox.spec?.typeUrl ?? null,
    sandbox.spec?.value ?? null,
    extensionsJson(sandbox.extensions),
    sandbox.sandboxer,
    sandbox.createdAt.getTime(),
    sandbox.updatedAt.getTime(),
  );
}

/** @throws not_found */
function get(db: Reader, namespace: string, id: string): Sandbox {
  mustHaveAny(db, namespace);
  const found = find(db, namespace, id);
  if (found === undefined) throw notFound(`bucket ${JSON.stringify(id)} not found: not found`);
  return found;
}

/** containerd has other words where a namespace never had a sandbox. */
function mustHaveAny(db: Reader, namespace: string): void {
  if (db.get('SELECT 1 FROM sandboxes WHERE namespace = ? LIMIT 1', namespace) === undefined)
    throw notFound('no sandbox buckets: not found');
}

function find(db: Reader, namespace: string, id: string): Sandbox | undefined {
  const row = db.get<Row>('SELECT * FROM sandboxes WHERE namespace = ? AND id = ?', namespace, id);
  return row && fromRow(row);
}

const fromRow = (row: Row): Sandbox => ({
  id: row.id,
  labels: labelsFromJson(row.labels),
  runtime: { name: row.runtime_name, options: anyOf(row.runtime_options_type, row.runtime_options) },
  spec: anyOf(row.spec_type, row.spec),
  extensions: extensionsOf(row.extensions),
  sandboxer: row.sandboxer,
  createdAt: new Date(row.created_at),
  updatedAt: new Date(row.updated_at),
});

import type { Any } from '../oci/any.ts';
import type { Container } from './container-store.ts';
import { wireHead } from './container-wire.ts';
import type { SqlValue } from './db.ts';
import { labelsFromJson, labelsToJson } from './labels.ts';

/** A row of `containers`. Anys are two columns each, their bytes never looked into. */
export interface ContainerRow {
  id: string;
  labels: string;
  image: string;
  runtime_name: string;
  runtime_options_type: string | null;
  runtime_options: Uint8Array | null;
  spec_type: string | null;
  spec: Uint8Array | null;
  snapshotter: string;
  snapshot_key: string;
  /** JSON: [key, type URL, base64 of the value] each. */
  extensions: string;
  sandbox_id: string;
  created_at: number;
  updated_at: number;
  /** As {@link wireHead} makes it; null in a row that an older Berth wrote. */
  wire_head: Uint8Array | null;
}

export function fromRow(row: ContainerRow): Container {
  return {
    id: row.id,
    labels: labelsFromJson(row.labels),
    image: row.image,
    runtime: { name: row.runtime_name, options: anyOf(row.runtime_options_type, row.runtime_options) },
    spec: anyOf(row.spec_type, row.spec),
    snapshotter: row.snapshotter,
    snapshotKey: row.snapshot_key,
    extensions: extensionsOf(row.extensions),
    sandboxId: row.sandbox_id,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}

/** The columns after `namespace`, in the schema's order. */
export function toParams(container: Container): SqlValue[] {
  const { options } = container.runtime;
  return [
    container.id,
    labelsToJson(container.labels),
    container.image,
    container.runtime.name,
    options?.typeUrl ?? null,
    options?.value ?? null,
    container.spec?.typeUrl ?? null,
    container.spec?.value ?? null,
    container.snapshotter,
    container.snapshotKey,
    extensionsJson(container.extensions),
    container.sandboxId,
    container.createdAt.getTime(),
    container.updatedAt.getTime(),
    wireHead(container),
  ];
}

/** An Any of its two columns. */
export const anyOf = (typeUrl: string | null, value: Uint8Array | null): Any | undefined =>
  typeUrl === null || value === null ? undefined : { typeUrl, value };

/** A map of Anys as JSON. */
export const extensionsJson = (extensions: Readonly<Record<string, Any>>): string =>
  JSON.stringify(
    Object.entries(extensions).map(([key, any]) => [
      key,
      any.typeUrl,
      Buffer.from(any.value).toString('base64'),
    ]),
  );

/** What {@link extensionsJson} made. */
export function extensionsOf(json: string): Record<string, Any> {
  const entries = JSON.parse(json) as [string, string, string][];
  return Object.fromEntries(
    entries.map(([key, typeUrl, value]) => [
      key,
      { typeUrl, value: new Uint8Array(Buffer.from(value, 'base64')) },
    ]),
  );
}

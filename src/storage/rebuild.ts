import type { Context } from '../async/context.ts';
import { dataLoss, failedPrecondition, notFound } from '../errors/error.ts';
import type { Reader } from '../metadata/db.ts';
import { labelsFromJson } from '../metadata/labels.ts';
import { driverSnapshot, type SnapshotRow, unpackedFrom } from '../metadata/snapshot-rows.ts';
import { chainIdOf } from '../oci/chain-id.ts';
import { type ChainId, type DiffId, parseDigest } from '../oci/digest.ts';
import { labelNames } from '../oci/label-names.ts';
import type { RebuildTarget } from '../snapshots/rebuild-target.ts';
import type { StorageParts } from './parts.ts';

/** A committed snapshot as it is recorded. */
export type CommittedRow = Pick<SnapshotRow, 'id' | 'name' | 'parent' | 'blob' | 'inodes'> & {
  readonly namespace: string;
  readonly snapshotter: string;
};

/**
 * Makes the layer file of a snapshot again: takes that of another namespace's where it is sound, else unpacks the blob.
 * What has the old file mounted goes on with it. @throws not_found (no blob of it is here), data_loss (the blob is another
 * layer), failed_precondition (it is not a layer file)
 */
export async function rebuild(parts: StorageParts, ctx: Context, row: CommittedRow): Promise<void> {
  const { db, directories } = parts.metadata;
  const driver = directories.get(row.snapshotter)?.driver;
  if (driver?.rebuild === undefined) throw failedPrecondition(`${row.snapshotter} makes nothing again`);
  const snapshot = driverSnapshot(db, { ...row, kind: 'active' }, {});
  await using target = await driver.rebuild(snapshot);
  if (!(await takeFromOthers(db, ctx, row, target))) await unpack(parts, ctx, row, target);
  await target.adopt();
  const { inodes } = await driver.usage(snapshot);
  if (inodes !== row.inodes) throw dataLoss(`has ${inodes} files instead of ${row.inodes}`);
}

async function takeFromOthers(
  db: Reader,
  { signal }: Context,
  { id, snapshotter, name, blob }: CommittedRow,
  target: RebuildTarget,
): Promise<boolean> {
  if (blob === null) return false;
  const others = unpackedFrom(db, snapshotter, { chainId: name as ChainId, blob: parseDigest(blob) });
  for (const other of others) if (other !== id && (await target.take(other, signal))) return true;
  return false;
}

/** The chain ID, which is the name, proves that it is the layer that was there. */
async function unpack(
  { metadata, rebuildLayer }: StorageParts,
  ctx: Context,
  row: CommittedRow,
  target: RebuildTarget,
): Promise<void> {
  const parent = metadata.db.get<{ name: string }>(
    'SELECT name FROM snapshots WHERE id = ?',
    row.parent,
  )?.name;
  const isIt = (diffId: DiffId) =>
    chainIdOf(parent === undefined ? [diffId] : [parent as DiffId, diffId]) === row.name;
  const blob = row.blob ?? labelled(metadata.db, row.namespace, isIt);
  if (blob === undefined) throw notFound('no blob of it is here: remove its image and pull it again');
  await using reader = await metadata.bytes.blobs.open(parseDigest(blob));
  const diffId = await rebuildLayer(ctx, reader, target);
  if (!isIt(diffId)) throw dataLoss(`its blob unpacks to another layer: ${diffId}`);
}

/** The blob that says of itself that it unpacks to this layer. */
function labelled(db: Reader, namespace: string, isIt: (diffId: DiffId) => boolean): string | undefined {
  const blobs = db.all<{ digest: string; labels: string }>(
    'SELECT digest, labels FROM blobs WHERE namespace = ?',
    namespace,
  );
  return blobs.find(({ labels }) => {
    const diffId = labelsFromJson(labels)[labelNames.uncompressed];
    return diffId !== undefined && isIt(diffId as DiffId);
  })?.digest;
}

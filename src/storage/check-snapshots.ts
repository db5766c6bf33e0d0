import type { Context } from '../async/context.ts';
import { codeOf, failedPrecondition, isKind, messageOf } from '../errors/error.ts';
import { nodeOf } from '../metadata/changes.ts';
import type { Reader } from '../metadata/db.ts';
import type { DirectoryKeeper } from '../metadata/directory-keeper.ts';
import { driverSnapshot } from '../metadata/snapshot-rows.ts';
import { listMounts, type MountInfo } from '../sys/mountinfo.ts';
import type { Step } from './check.ts';
import { resourceOf } from './holdings.ts';
import type { StorageParts } from './parts.ts';
import { type CommittedRow, rebuild } from './rebuild.ts';

type Row = CommittedRow & { readonly kind: 'active' | 'view' | 'committed' };

/**
 * Recorded snapshots: is what they consist of there, and as much of it as when it was committed? Unless `quick`, layer
 * files are read and hashed again.
 */
export async function* checkSnapshots(
  parts: StorageParts,
  ctx: Context,
  quick: boolean,
): AsyncGenerator<Step> {
  const { metadata } = parts;
  for (const row of parentsFirst(metadata.db)) {
    const directory = metadata.directories.get(row.snapshotter);
    const message =
      directory &&
      ((await faultOf(metadata.db, directory, row)) ??
        (quick ? undefined : await damageOf(ctx, directory, row)));
    if (message === undefined || !isRecorded(metadata.db, row.id)) continue;
    const resource = resourceOf(nodeOf('snapshot', row.namespace, `${row.snapshotter}/${row.name}`));
    const repair = row.kind === 'committed' && ((ctx: Context) => rebuild(parts, ctx, row));
    yield { fault: { kind: 'lost-snapshot', resource, message, ...(repair && { repair }) } };
  }
}

/** What stands on another can only be made again when that is whole. */
const parentsFirst = (db: Reader): Row[] =>
  db.all<Row>(`
    WITH RECURSIVE stacked (id, depth) AS (
      SELECT id, 0 FROM snapshots WHERE parent IS NULL
      UNION ALL SELECT s.id, depth + 1 FROM snapshots s JOIN stacked ON s.parent = stacked.id
    ) SELECT s.* FROM snapshots s JOIN stacked USING (id)
    WHERE state = 'ready' AND kind <> 'view' ORDER BY depth, id`);

async function faultOf(db: Reader, { driver }: DirectoryKeeper, row: Row): Promise<string | undefined> {
  try {
    const { inodes } = await driver.usage(driverSnapshot(db, { ...row, kind: 'active' }, {}));
    if (row.inodes === null || inodes === row.inodes) return undefined;
    return `has ${inodes} files instead of ${row.inodes}`;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'its files are gone';
    if (isKind(error, 'data_loss') || codeOf(error) !== undefined) return messageOf(error);
    throw error;
  }
}

/** What a committed snapshot's bytes show; undefined where nothing of it can be verified. */
async function damageOf(ctx: Context, { driver }: DirectoryKeeper, row: Row): Promise<string | undefined> {
  if (row.kind !== 'committed') return undefined;
  try {
    await driver.verify?.(row.id, ctx.signal);
    return undefined;
  } catch (error) {
    ctx.signal.throwIfAborted();
    return messageOf(error);
  }
}

const isRecorded = (db: Reader, id: number): boolean =>
  db.get('SELECT 1 FROM snapshots WHERE id = ?', id) !== undefined;

/** Directories that no record knows. Those that are on their way out are waited for. */
export async function* orphanSnapshots({
  metadata: { db, directories },
}: StorageParts): AsyncGenerator<Step> {
  for (const directory of directories.values()) {
    const { driver } = directory;
    const unknown = async () => ((await driver.list?.()) ?? []).filter((id) => !isRecorded(db, id));
    if ((await unknown()).length === 0) continue;
    await directory.settled();
    for (const id of await unknown()) {
      const message = `${driver.name} ${id}: a snapshot that no record knows`;
      yield { fault: { kind: 'orphan-snapshot', message, repair: () => removeUnknown(directory, id) } };
    }
  }
}

async function removeUnknown(directory: DirectoryKeeper, id: number): Promise<void> {
  await directory.cleanup();
  if ((await directory.driver.list?.())?.includes(id) === true)
    throw failedPrecondition('its number is still to be given out: the next start removes it');
}

/** Overlays that stand on snapshots no record knows: whatever mounted them forgot them. */
export function* checkMounts({ metadata: { db, directories } }: StorageParts): Generator<Step> {
  for (const mount of listMounts()) {
    if (mount.type !== 'overlay') continue;
    for (const { driver } of directories.values()) {
      const gone = snapshotsOf(mount, driver.root).filter((id) => !isRecorded(db, id));
      if (gone.length === 0) continue;
      const message = `${mount.mountPoint} stands on snapshot ${gone.join(', ')} of ${driver.name}, which is gone: unmount it`;
      yield { fault: { kind: 'unknown-mount', message } };
    }
  }
}

function snapshotsOf({ superOptions }: MountInfo, root: string): number[] {
  const prefix = `${root}/snapshots/`;
  const directories = superOptions
    .filter((option) => /^(lowerdir|upperdir)[+=]/.test(option))
    .flatMap((option) => option.slice(option.indexOf('=') + 1).split(':'));
  const ids = directories
    .filter((path) => path.startsWith(prefix))
    .map((path) => path.slice(prefix.length).split('/')[0]);
  return [...new Set(ids.map(Number).filter(Number.isSafeInteger))];
}

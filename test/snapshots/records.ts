import assert from 'node:assert/strict';
import { join } from 'node:path';
import { daemonContext, silentLog } from '../../src/async/context.ts';
import { openLocalBlobs } from '../../src/content/local/local-blobs.ts';
import { openMetadata } from '../../src/metadata/metadata.ts';
import { RecordedEvents } from '../../src/metadata/subject.suite.ts';
import type { SnapshotDriver } from '../../src/snapshots/driver.ts';
import type { SnapshotterSubject } from '../../src/snapshots/snapshotter.suite.ts';

/** A driver with its records, as the daemon has it. */
export async function openRecords(directory: string, driver: SnapshotDriver): Promise<SnapshotterSubject> {
  const metadata = await openMetadata({
    path: join(directory, 'metadata.db'),
    blobs: await openLocalBlobs(join(directory, 'content')),
    drivers: [driver],
    events: new RecordedEvents(),
    log: silentLog,
  });
  const snapshotter = metadata.snapshotters.get(driver.name);
  assert.ok(snapshotter);
  return {
    snapshotter,
    ctx: daemonContext(silentLog, 'suite'),
    [Symbol.asyncDispose]: () => metadata[Symbol.asyncDispose](),
  };
}

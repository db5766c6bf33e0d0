import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { daemonContext, silentLog } from '../../src/async/context.ts';
import { openLocalBlobs } from '../../src/content/local/local-blobs.ts';
import { kindOf } from '../../src/errors/error.ts';
import { openMetadata } from '../../src/metadata/metadata.ts';
import { MemoryDriver, RecordedEvents } from '../../src/metadata/subject.suite.ts';

function smallDisk(t: TestContext, size: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'berth-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', directory]);
  t.after(() => {
    execFileSync('umount', [directory]);
    rmdirSync(directory);
  });
  return directory;
}

const open = async (directory: string) =>
  openMetadata({
    path: join(directory, 'metadata.db'),
    blobs: await openLocalBlobs(join(directory, 'content')),
    drivers: [new MemoryDriver()],
    events: new RecordedEvents(),
    log: silentLog,
  });

const isFull = (error: unknown) => {
  assert.equal(kindOf(error), 'resource_exhausted', String(error));
  return true;
};

test('content that does not fit is refused as such, the ingest can be resumed, and freed space is used', async (t) => {
  await using metadata = await open(smallDisk(t, '16m'));
  const ctx = daemonContext(silentLog, 'testing');
  {
    await using writer = await metadata.content.writer(ctx, { ref: 'big' });
    await assert.rejects(writer.write(randomBytes(24 << 20)), isFull);
    await writer.truncate(0);
    await writer.write(randomBytes(1000));
    await writer.commit();
  }
  assert.equal((await metadata.content.list(ctx)).length, 1);
});

test('a database that cannot grow refuses the mutation, keeps what it has and goes on when there is space', async (t) => {
  const directory = smallDisk(t, '12m');
  const ctx = daemonContext(silentLog, 'testing');
  const labels = { k: 'x'.repeat(4000) };
  let made = 0;
  {
    await using metadata = await open(directory);
    const fill = async () => {
      for (; made < 5000; made++) await metadata.leases.create(ctx, { id: `l${made}`, labels });
    };
    await assert.rejects(fill(), isFull);
    assert.equal((await metadata.leases.list(ctx)).length, made);
    execFileSync('mount', ['-o', 'remount,size=32m', directory]);
    await metadata.leases.create(ctx, { id: 'after', labels });
  }
  await using metadata = await open(directory);
  assert.equal((await metadata.leases.list(ctx)).length, made + 1);
});

import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { daemonContext, silentLog } from '../../src/async/context.ts';
import { openLocalBlobs } from '../../src/content/local/local-blobs.ts';
import { openMetadata } from '../../src/metadata/metadata.ts';
import { MemoryDriver, RecordedEvents } from '../../src/metadata/subject.suite.ts';

// Writes content, images and snapshots as fast as it can, and says on stdout what was acknowledged, until killed.
const directory = process.argv[2] ?? '';
const metadata = await openMetadata({
  path: join(directory, 'metadata.db'),
  blobs: await openLocalBlobs(join(directory, 'content')),
  drivers: [new MemoryDriver()],
  events: new RecordedEvents(),
  log: silentLog,
});
metadata.gc.start();
const ctx = daemonContext(silentLog, 'testing');
const say = (words: string) => writeSync(1, `${words}\n`);

async function client(id: number): Promise<never> {
  for (let round = 0; ; round++) {
    const name = `${process.pid}.${id}.${round}`;
    const lease = await metadata.leases.create(ctx, {});
    const digest = await pull({ ...ctx, lease: lease.id }, name);
    const target = { mediaType: 'm', digest, size: 1 };
    await metadata.images.create(ctx, { name, labels: {}, target });
    say(`image ${name} ${digest}`);
    await metadata.leases.delete(ctx, lease.id, { sync: round % 5 === 0 });
    const snapshotter = metadata.snapshotters.get('overlayfs');
    await snapshotter?.prepare(ctx, name, '', { 'containerd.io/gc.root': 'x' });
    say(`snapshot ${name}`);
  }
}

async function pull(leased: typeof ctx, name: string) {
  await using writer = await metadata.content.writer(leased, { ref: name });
  for (let i = 0; i < 5; i++) await writer.write(randomBytes(20_000));
  return await writer.commit();
}

await Promise.all([1, 2, 3, 4].map(client));

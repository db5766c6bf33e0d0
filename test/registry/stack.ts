import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Context, silentLog } from '../../src/async/context.ts';
import { openLocalBlobs } from '../../src/content/local/local-blobs.ts';
import { EventExchange } from '../../src/events/exchange.ts';
import type { Image } from '../../src/metadata/image-store.ts';
import type { SharingPolicy } from '../../src/metadata/ingests.ts';
import { type Metadata, openMetadata } from '../../src/metadata/metadata.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { applyTargets } from '../../src/snapshots/apply-target.ts';
import { openOverlayDriver } from '../../src/snapshots/overlayfs/driver.ts';
import { unmountTree } from '../../src/sys/mount.ts';
import { type TransferParts, transferParts } from '../../src/transfer/parts.ts';
import { pull } from '../../src/transfer/pull.ts';
import { layerMode } from '../kit/layer-mode.ts';

const work = process.env.BERTH_TEST_WORK ?? '/var/tmp/berth-test';

/** The real stores under transfer in a directory of their own, without a daemon around them. */
export interface Stack extends AsyncDisposable {
  readonly dir: string;
  readonly metadata: Metadata;
  readonly parts: TransferParts;
  readonly ctx: Context;
}

export async function openStack(namespace = 'test', sharing: SharingPolicy = 'shared'): Promise<Stack> {
  mkdirSync(work, { recursive: true });
  const dir = mkdtempSync(join(work, 'transfer-'));
  const contentRoot = join(dir, 'content');
  const driver = await openOverlayDriver({ root: join(dir, 'overlayfs'), mode: layerMode });
  const metadata = await openMetadata({
    path: join(dir, 'metadata.db'),
    blobs: await openLocalBlobs(contentRoot),
    drivers: [driver],
    sharing,
    events: new EventExchange(),
    log: silentLog,
  });
  const { content, images, leases, snapshotters } = metadata;
  const stores = { content, images, leases, snapshotters };
  const parts = transferParts({
    ...stores,
    applyTarget: applyTargets([driver]),
    defaultSnapshotter: 'overlayfs',
    platform: hostPlatform(),
    contentRoot,
    isolated: sharing === 'isolated',
  });
  const ctx = {
    signal: new AbortController().signal,
    namespace,
    log: silentLog,
    caller: { kind: 'test' },
  } as const;
  return {
    dir,
    metadata,
    parts,
    ctx,
    async [Symbol.asyncDispose]() {
      parts[Symbol.dispose]();
      await metadata[Symbol.asyncDispose]();
      await driver[Symbol.asyncDispose]();
      await unmountTree(dir);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** What a failed or finished pull may leave: blobs, ingests, leases, snapshots, images by name. */
export async function inventory({ metadata, ctx }: Stack) {
  const snapshotter = metadata.snapshotters.get('overlayfs');
  return {
    images: (await metadata.images.list(ctx)).map(({ name }) => name),
    blobs: (await metadata.content.list(ctx)).map(({ digest }) => digest as string),
    ingests: (await metadata.content.listStatuses(ctx)).map(({ ref }) => ref),
    leases: (await metadata.leases.list(ctx)).length,
    snapshots: ((await snapshotter?.list(ctx)) ?? []).map(({ name }) => name),
  };
}

/** Pulls without looking at the progress. */
export async function pullQuietly(...args: Parameters<typeof pull>): Promise<Image> {
  const steps = pull(...args);
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return value;
  }
}

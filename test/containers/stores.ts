import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Context, silentLog } from '../../src/async/context.ts';
import type { NewContainerOfImage } from '../../src/containers/containers.ts';
import { LocalContainers } from '../../src/containers/local-containers.ts';
import type { ContainerParts } from '../../src/containers/parts.ts';
import type { TaskControl } from '../../src/containers/task-control.ts';
import { openLocalBlobs } from '../../src/content/local/local-blobs.ts';
import { failedPrecondition, isKind, notFound } from '../../src/errors/error.ts';
import { EventExchange } from '../../src/events/exchange.ts';
import { makeEvent } from '../../src/events/topics.ts';
import { type Metadata, openMetadata } from '../../src/metadata/metadata.ts';
import type { Any } from '../../src/oci/any.ts';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { type ChainId, digestBytes } from '../../src/oci/digest.ts';
import { mediaTypes } from '../../src/oci/media-types.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { openOverlayDriver } from '../../src/snapshots/overlayfs/driver.ts';
import { withTempMount } from '../../src/sys/temp-mount.ts';

export const ctx: Context = {
  signal: new AbortController().signal,
  namespace: 'test',
  log: silentLog,
  caller: { kind: 'test' },
};

/** Tasks that only exist on paper: what the verbs ask of them is all there is. */
export class PaperTasks implements TaskControl {
  readonly alive = new Map<string, boolean>();
  readonly calls: string[] = [];
  readonly #events: EventExchange;

  constructor(events: EventExchange) {
    this.#events = events;
  }

  start(id: string): void {
    this.alive.set(id, true);
  }

  exit(id: string): void {
    this.alive.set(id, false);
    const { topic, event } = makeEvent('taskExit', { containerId: id, id });
    void this.#events.publish(ctx, topic, event);
  }

  async find(_: Context, id: string) {
    const alive = this.alive.get(id);
    if (alive === undefined) return undefined;
    return { status: alive ? ('running' as const) : ('stopped' as const), pid: 0 };
  }

  async kill(_: Context, id: string, signal: number) {
    this.calls.push(`kill ${signal}`);
    this.exit(id);
  }

  async resume() {}

  async update(_: Context, id: string, resources: Any) {
    this.calls.push(`update ${id} ${Buffer.from(resources.value)}`);
  }

  async wait(_: Context, id: string) {
    while (this.alive.get(id) === true) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async delete(_: Context, id: string) {
    this.calls.push('delete');
    if (this.alive.get(id) === undefined) throw notFound(`task ${id}: not found`);
    if (this.alive.get(id)) throw failedPrecondition('running');
    this.alive.delete(id);
  }
}

export interface Bench extends AsyncDisposable {
  readonly metadata: Metadata;
  readonly events: EventExchange;
  readonly tasks: PaperTasks;
  readonly verbs: LocalContainers;
  readonly parts: ContainerParts;
  readonly root: string;
  /** An image whose only layer is what `fill` makes of an empty directory. */
  addImage(name: string, config: object, fill?: (path: string) => void): Promise<void>;
  create(wanted?: Partial<NewContainerOfImage>): ReturnType<LocalContainers['create']>;
}

/** Real stores, real overlay mounts, paper tasks. */
export async function openBench(): Promise<Bench> {
  const root = mkdtempSync('/var/tmp/berth-containers-');
  await using undo = new AsyncDisposableStack();
  undo.defer(() => rmSync(root, { recursive: true, force: true }));
  const events = new EventExchange();
  const blobs = await openLocalBlobs(join(root, 'content'));
  const driver = await openOverlayDriver({ root: join(root, 'overlayfs') });
  const path = join(root, 'metadata.db');
  const metadata = undo.use(await openMetadata({ path, blobs, drivers: [driver], events, log: silentLog }));
  const tasks = new PaperTasks(events);
  const chains = new Map<string, ChainId>();
  const parts: ContainerParts = {
    ...metadata,
    events,
    tasks,
    unpacker: {
      ensureUnpacked: async (_, image) => chains.get(image.name) ?? ('' as ChainId),
      apply: () => Promise.reject(new Error('no checkpoints here')),
    },
    fifoRoot: join(root, 'fifo'),
    logRoot: join(root, 'logs'),
  };
  const verbs = new LocalContainers(parts);
  const owned = undo.move();
  const put = (value: object, mediaType: string) => putJson(metadata, value, mediaType);
  return {
    metadata,
    events,
    tasks,
    verbs,
    parts,
    root,
    create: (wanted = {}) =>
      verbs.create(ctx, { image: 'docker.io/library/app:latest', args: ['/bin/x'], ...wanted }),
    async addImage(name, config, fill = () => {}) {
      const chain = digestBytes(name) as string as ChainId;
      chains.set(name, chain);
      await fillLayer(metadata, chain, fill);
      const rootfs = { type: 'layers', diff_ids: [digestBytes('layer')] };
      const image = await put({ ...hostPlatform(), config, rootfs }, mediaTypes.ociConfig);
      const target = await put({ schemaVersion: 2, config: image, layers: [] }, mediaTypes.ociManifest);
      await metadata.images.create(ctx, { name, labels: {}, target });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function putJson({ content }: Metadata, value: object, mediaType: string): Promise<Descriptor> {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  const digest = digestBytes(bytes);
  try {
    await using writer = await content.writer(ctx, { ref: digest, expected: digest });
    await writer.write(bytes);
    await writer.commit({ sizeBytes: bytes.length, labels: { 'containerd.io/gc.root': 'test' } });
  } catch (error) {
    if (!isKind(error, 'already_exists')) throw error;
  }
  return { mediaType, digest, size: bytes.length };
}

async function fillLayer(metadata: Metadata, chain: ChainId, fill: (path: string) => void): Promise<void> {
  const snapshotter = metadata.snapshotters.get('overlayfs');
  if (snapshotter === undefined) throw notFound('overlayfs');
  const labels = { 'containerd.io/gc.root': 'test' };
  const mounts = await snapshotter.prepare(ctx, `fill-${chain}`, '', labels);
  await withTempMount(mounts, async (path) => {
    mkdirSync(join(path, 'etc'));
    fill(path);
  });
  await snapshotter.commit(ctx, chain, `fill-${chain}`, labels);
}

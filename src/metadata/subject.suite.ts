import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Context, daemonContext, silentLog } from '../async/context.ts';
import { openLocalBlobs } from '../content/local/local-blobs.ts';
import type { Envelope, Events } from '../events/events.ts';
import type { DriverSnapshot, SnapshotDriver } from '../snapshots/driver.ts';
import { type Metadata, type MetadataOptions, openMetadata } from './metadata.ts';

/** Events that are only kept, for tests. */
export class RecordedEvents implements Events {
  readonly seen: { namespace: string; topic: string }[] = [];
  async publish(): Promise<void> {}
  async forward(): Promise<void> {}
  deliver({ namespace, topic }: Envelope): void {
    this.seen.push({ namespace, topic });
  }
  async *subscribe(): AsyncIterable<Envelope> {}
  topics(): string[] {
    return this.seen.map(({ topic }) => topic);
  }
}

/** A driver whose directories are numbers in memory; it survives restarts of what stands on it. */
export class MemoryDriver implements SnapshotDriver {
  readonly name: string;
  readonly capabilities = ['rebase'];
  readonly root = '/nowhere';
  readonly directories = new Map<number, DriverSnapshot>();
  /** Set to make the next creation fail. */
  failure: Error | undefined;
  /** Called while a creation is under way. */
  creating: () => void = () => {};

  constructor(name = 'overlayfs') {
    this.name = name;
  }
  async create(snapshot: DriverSnapshot): Promise<undefined> {
    this.directories.set(snapshot.id, snapshot);
    this.creating();
    if (this.failure) throw this.failure;
  }
  async mounts({ id, parents, kind }: DriverSnapshot) {
    return [{ type: 'bind', source: `/nowhere/${id}`, options: [kind, ...parents.map(String)] }];
  }
  async commit() {
    return { sizeBytes: 100, inodes: 2 };
  }
  async usage() {
    return { sizeBytes: 1, inodes: 1 };
  }
  async remove(id: number): Promise<void> {
    this.directories.delete(id);
  }
  async cleanup(known: ReadonlySet<number>): Promise<number[]> {
    const gone = [...this.directories.keys()].filter((id) => !known.has(id));
    for (const id of gone) this.directories.delete(id);
    return gone;
  }
}

/** Metadata over real files in a scratch directory. */
export class MetadataSubject implements AsyncDisposable {
  readonly directory: string;
  readonly events = new RecordedEvents();
  readonly driver = new MemoryDriver();
  readonly #options: Partial<MetadataOptions>;
  #metadata: Metadata | undefined;

  private constructor(directory: string, options: Partial<MetadataOptions>) {
    this.directory = directory;
    this.#options = options;
  }

  static async open(options: Partial<MetadataOptions> = {}): Promise<MetadataSubject> {
    const subject = new MetadataSubject(await mkdtemp(join(tmpdir(), 'berth-metadata-')), options);
    await subject.restart();
    return subject;
  }

  get metadata(): Metadata {
    if (!this.#metadata) throw new Error('not open');
    return this.#metadata;
  }

  get snapshots() {
    const snapshotter = this.metadata.snapshotters.get('overlayfs');
    if (!snapshotter) throw new Error('no snapshotter');
    return snapshotter;
  }

  /** Stops (as a daemon does) and starts again on the same files. */
  async restart(): Promise<Metadata> {
    await this.#metadata?.[Symbol.asyncDispose]();
    this.#metadata = await openMetadata({
      path: join(this.directory, 'metadata.db'),
      blobs: await openLocalBlobs(join(this.directory, 'content')),
      drivers: [this.driver],
      events: this.events,
      log: silentLog,
      ...this.#options,
    });
    return this.#metadata;
  }

  context(namespace = 'testing', lease?: string): Context {
    return { ...daemonContext(silentLog, namespace), lease };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#metadata?.[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true });
  }
}

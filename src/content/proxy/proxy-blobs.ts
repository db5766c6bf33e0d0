import { type Context, daemonContext, type Log } from '../../async/context.ts';
import { withDeadline } from '../../async/deadline.ts';
import { never } from '../../async/never.ts';
import { askProxied, findProxied, type Proxied } from '../../async/proxied.ts';
import { isKind, wrap } from '../../errors/error.ts';
import type { Digest } from '../../oci/digest.ts';
import type { BlobIngest, Blobs } from '../blobs.ts';
import type { ContentReader, ContentStore, ContentWriter } from '../store.ts';

/** Somebody else's content store. */
export interface ProxyBlobsOptions {
  /** What its configuration calls it. */
  readonly name: string;
  /** The other side of the wire. */
  readonly store: ContentStore;
  /** For each call, and for each piece of a stream. Default 60 s. */
  readonly timeoutMs?: number;
  readonly log: Log;
}

/** A store that collects garbage must keep what our records name: only they know when it goes. */
const keepLabel = 'containerd.io/gc.root';

/**
 * A content store in another process (containerd's proxy plug-ins) under our records. It may have other users, so nothing is
 * removed from it but what our records held last.
 */
export function proxyBlobs(options: ProxyBlobsOptions): Blobs {
  return new ProxyBlobs(options);
}

class ProxyBlobs implements Blobs {
  readonly isElsewhere = true;
  readonly #there: ContentStore;
  readonly #proxied: Proxied;

  constructor({ name, store, timeoutMs = 60_000, log }: ProxyBlobsOptions) {
    this.#there = store;
    this.#proxied = { name: `content store ${name}`, timeoutMs, log };
  }

  async has(digest: Digest): Promise<boolean> {
    return (await findProxied(this.#proxied, 'info', (ctx) => this.#there.info(ctx, digest))) !== undefined;
  }

  async stat(digest: Digest): Promise<{ sizeBytes: number; modifiedAt: Date }> {
    const { sizeBytes, updatedAt } = await askProxied(this.#proxied, 'info', (ctx) =>
      this.#there.info(ctx, digest),
    );
    return { sizeBytes, modifiedAt: updatedAt };
  }

  async open(digest: Digest): Promise<ContentReader> {
    // Reads go on as long as pieces come, so this context is not the opening call's.
    const reading = new AbortController();
    const ctx = daemonContext(this.#proxied.log, 'default', reading.signal);
    const reader = await askProxied(this.#proxied, 'info', () => this.#there.reader(ctx, digest));
    return new ProxyReader(reader, this.#proxied, reading);
  }

  async delete(digest: Digest): Promise<void> {
    await findProxied(this.#proxied, 'delete', (ctx) => this.#there.delete(ctx, digest));
  }

  async *walk(): AsyncGenerator<{ digest: Digest; sizeBytes: number }> {
    yield* await askProxied(this.#proxied, 'list', (ctx) => this.#there.list(ctx));
  }

  async ingest(key: string): Promise<BlobIngest> {
    const writing = new AbortController();
    const ctx = daemonContext(this.#proxied.log, 'default', writing.signal);
    const writer = await askProxied(this.#proxied, 'write', () =>
      this.#there.writer(ctx, { ref: refOf(key) }),
    );
    return new ProxyIngest(writer, this.#proxied, writing);
  }

  async findIngest(key: string): Promise<{ offset: number; startedAt: Date; updatedAt: Date } | undefined> {
    return findProxied(this.#proxied, 'status', (ctx) => this.#there.status(ctx, refOf(key)));
  }

  async abortIngest(key: string): Promise<void> {
    await findProxied(this.#proxied, 'abort', (ctx) => this.#there.abort(ctx, refOf(key)));
  }

  async *walkIngests(): AsyncGenerator<string> {
    const statuses = await askProxied(this.#proxied, 'list statuses', (ctx) => this.#there.listStatuses(ctx));
    for (const { ref } of statuses) if (ref.startsWith(refPrefix)) yield ref.slice(refPrefix.length);
  }
}

const refPrefix = 'berth-';
const refOf = (key: string): string => `${refPrefix}${key}`;

class ProxyReader implements ContentReader {
  readonly #reader: ContentReader;
  readonly #proxied: Proxied;
  readonly #reading: AbortController;

  constructor(reader: ContentReader, proxied: Proxied, reading: AbortController) {
    this.#reader = reader;
    this.#proxied = proxied;
    this.#reading = reading;
  }

  get sizeBytes(): number {
    return this.#reader.sizeBytes;
  }

  async *stream(offset?: number, end?: number): AsyncGenerator<Uint8Array> {
    const { name, timeoutMs } = this.#proxied;
    const pieces = this.#reader.stream(offset, end)[Symbol.asyncIterator]();
    const next = () => withDeadline(never, timeoutMs, `${name}: read`, () => pieces.next());
    try {
      for (let piece = await next(); piece.done !== true; piece = await next()) yield piece.value;
    } catch (error) {
      this.#reading.abort();
      throw wrap(error, `${name}: read`);
    } finally {
      void pieces.return?.().catch(() => {});
    }
  }

  bytes(limitBytes: number): Promise<Uint8Array> {
    return askProxied(this.#proxied, 'read', () => this.#reader.bytes(limitBytes));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader[Symbol.asyncDispose]();
  }
}

class ProxyIngest implements BlobIngest {
  readonly foundAt: Date;
  readonly #writer: ContentWriter;
  readonly #proxied: Proxied;
  readonly #writing: AbortController;

  constructor(writer: ContentWriter, proxied: Proxied, writing: AbortController) {
    this.foundAt = writer.status.updatedAt;
    this.#writer = writer;
    this.#proxied = proxied;
    this.#writing = writing;
  }

  get offset(): number {
    return this.#writer.status.offset;
  }

  write(data: Uint8Array): Promise<void> {
    return this.#ask('write', () => this.#writer.write(data));
  }

  truncate(offset: number): Promise<void> {
    return this.#ask('truncate', () => this.#writer.truncate(offset));
  }

  digest(): Promise<Digest> {
    return this.#ask('digest', () => this.#writer.digest());
  }

  async commit({
    sizeBytes,
    expected,
  }: Parameters<BlobIngest['commit']>[0]): Promise<{ digest: Digest; sizeBytes: number }> {
    const labels = { [keepLabel]: new Date().toISOString() };
    const size = this.offset;
    const digest = expected ?? (await this.digest());
    try {
      await this.#ask('commit', () =>
        this.#writer.commit({ ...(sizeBytes === undefined ? {} : { sizeBytes }), expected: digest, labels }),
      );
    } catch (error) {
      // Another way brought it there before.
      if (!isKind(error, 'already_exists')) throw error;
    }
    return { digest, sizeBytes: size };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ask('close', async () => this.#writer[Symbol.asyncDispose]()).catch(() => {});
    this.#writing.abort();
  }

  #ask<T>(what: string, work: (ctx: Context) => Promise<T>): Promise<T> {
    return askProxied(this.#proxied, what, work);
  }
}

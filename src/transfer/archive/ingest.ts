import { randomBytes } from 'node:crypto';
import type { Context } from '../../async/context.ts';
import type { ContentStore, ContentWriter } from '../../content/store.ts';
import { isKind } from '../../errors/error.ts';
import { type Digest, digestBytes } from '../../oci/digest.ts';
import { undo } from '../lease.ts';

type Labels = Readonly<Record<string, string>>;

/** A blob that came out of an archive, or was made for one. */
export interface StoredBlob {
  readonly digest: Digest;
  readonly size: number;
}

/** One blob on its way into the content store, under the lease of the context. Disposing drops what was not committed. */
export class Ingest implements AsyncDisposable {
  readonly #content: ContentStore;
  readonly #ctx: Context;
  readonly #ref: string;
  readonly #expected: Digest | undefined;
  #writer: ContentWriter | undefined;
  /** Another namespace has the blob: the writer begins with all its bytes. */
  #whole = false;

  private constructor(content: ContentStore, ctx: Context, ref: string, expected: Digest | undefined) {
    this.#content = content;
    this.#ctx = ctx;
    this.#ref = ref;
    this.#expected = expected;
  }

  /** With `expected`, bytes of a blob that is here already are dropped. */
  static async open(content: ContentStore, ctx: Context, expected?: Digest): Promise<Ingest> {
    const ingest = new Ingest(content, ctx, `archive-${randomBytes(8).toString('hex')}`, expected);
    try {
      ingest.#writer = await content.writer(ctx, { ref: ingest.#ref, expected });
      ingest.#whole = ingest.#writer.status.offset > 0;
    } catch (error) {
      if (!isKind(error, 'already_exists')) throw error;
    }
    return ingest;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#ctx.signal.throwIfAborted();
    if (!this.#whole) await this.#writer?.write(chunk);
  }

  /** @throws failed_precondition when the bytes are not what their name promised */
  async commit(size: number, labels: Labels = {}): Promise<StoredBlob> {
    const expected = this.#expected;
    if (this.#writer === undefined) return { digest: expected as Digest, size };
    const digest = expected ?? (await this.#writer.digest());
    try {
      await this.#writer.commit({ sizeBytes: size, expected: digest, labels });
    } catch (error) {
      if (!isKind(error, 'already_exists')) throw error;
    }
    return { digest, size };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#writer === undefined) return;
    await this.#writer[Symbol.asyncDispose]();
    await undo(this.#ctx, 'drop ingest', (late) => this.#content.abort(late, this.#ref));
  }
}

/** Stores bytes that are all here. Idempotent. */
export async function storeBytes(
  content: ContentStore,
  ctx: Context,
  bytes: Uint8Array,
  labels: Labels = {},
): Promise<StoredBlob> {
  await using ingest = await Ingest.open(content, ctx, digestBytes(bytes));
  await ingest.write(bytes);
  return await ingest.commit(bytes.byteLength, labels);
}

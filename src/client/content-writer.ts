import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { Context } from '../async/context.ts';
import type { ContentWriter, IngestStatus, WriterOptions } from '../content/store.ts';
import { failedPrecondition, invalidArgument, unavailable } from '../errors/error.ts';
import {
  Content as ContentService,
  WriteAction,
  type WriteContentRequestSchema,
  type WriteContentResponseSchema,
} from '../gen/containerd/services/content/v1/content_pb.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import type { Connection } from './connection.ts';
import { toDate, toSize } from './convert.ts';
import { Outbox } from './outbox.ts';

type Request = MessageInitShape<typeof WriteContentRequestSchema>;
type Response = MessageShape<typeof WriteContentResponseSchema>;

const maxChunkBytes = 1 << 20;

/** Opens or resumes an ingest over the Write stream: one request, one answer, in turn. */
export async function openWriter(
  connection: Connection,
  ctx: Context,
  options: WriterOptions,
): Promise<ContentWriter> {
  const outbox = new Outbox<Request>();
  const answers = connection
    .service(ContentService)
    .write(outbox, connection.context(ctx))
    [Symbol.asyncIterator]();
  const writer = new RemoteWriter(options, outbox, answers);
  await writer.open();
  return writer;
}

class RemoteWriter implements ContentWriter {
  readonly #outbox: Outbox<Request>;
  readonly #answers: AsyncIterator<Response>;
  readonly #options: WriterOptions;
  #status: IngestStatus;
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: WriterOptions, outbox: Outbox<Request>, answers: AsyncIterator<Response>) {
    const now = new Date(0);
    this.#options = options;
    this.#outbox = outbox;
    this.#answers = answers;
    this.#status = { ref: options.ref, offset: 0, total: options.total ?? 0, startedAt: now, updatedAt: now };
  }

  get status(): IngestStatus {
    return this.#status;
  }

  async open(): Promise<void> {
    const { total = 0, expected = '' } = this.#options;
    await this.#ask({ action: WriteAction.STAT, total: BigInt(total), expected });
  }

  async write(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.byteLength; at += maxChunkBytes) {
      const chunk = data.subarray(at, at + maxChunkBytes);
      const offset = BigInt(this.#status.offset);
      await this.#ask({ action: WriteAction.WRITE, offset, data: chunk as Uint8Array<ArrayBuffer> });
    }
  }

  /** containerd's Write knows one way to go back: offset 0 starts again; the daemon judges any other offset. */
  async truncate(offset: number): Promise<void> {
    if (offset < 0 || offset > this.#status.offset) {
      throw invalidArgument(
        `cannot truncate ingest ${this.#options.ref} at ${offset}: it has ${this.#status.offset} bytes`,
      );
    }
    if (offset === this.#status.offset) return;
    await this.#ask({ action: WriteAction.WRITE, offset: BigInt(offset) });
  }

  async digest(): Promise<Digest> {
    return parseDigest((await this.#ask({ action: WriteAction.STAT })).digest);
  }

  async commit(options: Parameters<ContentWriter['commit']>[0] = {}): Promise<Digest> {
    const response = await this.#ask({
      action: WriteAction.COMMIT,
      offset: BigInt(this.#status.offset),
      total: BigInt(options.sizeBytes ?? 0),
      expected: options.expected ?? '',
      labels: { ...options.labels },
    });
    await this[Symbol.asyncDispose]();
    return parseDigest(response.digest);
  }

  /** Ends the stream and waits until the daemon has let go of the ref. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#outbox.end();
    await this.#drain();
  }

  async #drain(): Promise<void> {
    try {
      while ((await this.#answers.next()).done !== true);
    } catch {
      // The stream's own failure was reported by the call that met it.
    }
  }

  #ask(request: Request): Promise<Response> {
    const turn = this.#turn.then(() => this.#exchange(request));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #exchange(request: Request): Promise<Response> {
    if (this.#closed) throw failedPrecondition(`writer of ingest ${this.#options.ref} is closed`);
    const { ref } = this.#options;
    this.#outbox.push({ ref, ...request });
    const answer = await this.#next();
    if (answer.done === true) throw unavailable(`daemon closed ingest ${ref}`);
    this.#note(answer.value);
    return answer.value;
  }

  async #next(): Promise<IteratorResult<Response>> {
    try {
      return await this.#answers.next();
    } catch (error) {
      this.#closed = true;
      this.#outbox.end();
      throw error;
    }
  }

  #note(response: Response): void {
    this.#status = {
      ...this.#status,
      offset: toSize(response.offset),
      total: response.total > 0n ? toSize(response.total) : this.#status.total,
      ...(this.#options.expected === undefined ? {} : { expected: this.#options.expected }),
      startedAt: response.startedAt === undefined ? this.#status.startedAt : toDate(response.startedAt),
      updatedAt: response.updatedAt === undefined ? this.#status.updatedAt : toDate(response.updatedAt),
    };
  }
}

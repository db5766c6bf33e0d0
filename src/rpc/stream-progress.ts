import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { ProgressSchema } from '../gen/containerd/types/transfer/transfer_pb.ts';
import type { NamedStream } from './named-stream.ts';

export type ProgressUpdate = MessageInitShape<typeof ProgressSchema>;

/**
 * Sends progress to a stream without ever making the work wait: updates of the same event and name that were not sent yet
 * replace each other, so a slow reader sees fewer of them, but always the last.
 */
export class ProgressSender implements AsyncDisposable {
  readonly #stream: NamedStream;
  readonly #pending = new Map<string, ProgressUpdate>();
  #sending: Promise<void> | undefined;

  constructor(stream: NamedStream) {
    this.#stream = stream;
  }

  send(update: ProgressUpdate): void {
    const key = `${update.event ?? ''}\0${update.name ?? ''}`;
    this.#pending.delete(key); // so that what was sent since stays before it
    this.#pending.set(key, update);
    this.#sending ??= this.#drain();
  }

  /** Sends what is pending and closes the stream. Idempotent; a client that is gone is no error. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sending;
    this.#stream.close();
  }

  async #drain(): Promise<void> {
    await Promise.resolve();
    try {
      for (const [key, update] of this.#pending) {
        this.#pending.delete(key);
        const value = toBinary(ProgressSchema, create(ProgressSchema, update));
        await this.#stream.send({ typeUrl: ProgressSchema.typeName, value });
      }
    } catch {
      this.#pending.clear(); // nobody watches any more; the work goes on
    } finally {
      this.#sending = undefined;
    }
  }
}

import { withDeadline } from '../async/deadline.ts';
import { never } from '../async/never.ts';
import { ByteSender } from '../rpc/byte-stream.ts';
import type { NamedStream } from '../rpc/named-stream.ts';

/** What waits for a slow reader, and how long it may hold up the answer. */
const limits = { waitingChars: 1024 * 1024, lingerMs: 2_000 } as const;

/** Text for a client that wants to see the requests to a registry (`ctr images pull --http-dump`). Disposing ends it. */
export class HttpLog implements AsyncDisposable {
  readonly #stream: NamedStream;
  readonly #sent: Promise<void>;
  #waiting = '';
  #ended = false;
  #wake = () => {};

  constructor(stream: NamedStream) {
    this.#stream = stream;
    this.#sent = this.#send(new ByteSender(stream));
    this.#sent.catch(() => {}); // a client that is gone reads nothing
  }

  /** Never waits: what a slow reader leaves unread is cut. */
  readonly write = (text: string): void => {
    if (this.#waiting.length < limits.waitingChars) this.#waiting += text;
    this.#wake();
  };

  async #send(sender: ByteSender): Promise<void> {
    while (!this.#ended || this.#waiting !== '') {
      const text = this.#waiting;
      this.#waiting = '';
      if (text !== '') await sender.write(Buffer.from(text));
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    this.#wake();
    await withDeadline(never, limits.lingerMs, 'the log', () => this.#sent).catch(() => {});
    this.#stream.close();
  }
}

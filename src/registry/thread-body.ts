import { Readable } from 'node:stream';
import type { MessagePort } from 'node:worker_threads';
import type { BodyAnswer, BodyRequest, PlainError, PourEnd, PourTarget } from './body-messages.ts';
import type { HttpResponse, ResponseBody } from './exchange.ts';

/** A body that another thread receives: to be read here as any other, or poured into a file there. */
export class ThreadBody extends Readable implements ResponseBody {
  complete = false;
  headersDistinct: ResponseBody['headersDistinct'] = {};
  readonly #port: MessagePort;
  readonly #head = Promise.withResolvers<Pick<HttpResponse, 'status' | 'headers'>>();
  readonly #letGo: () => void;
  #pouring: PromiseWithResolvers<PourEnd> | undefined;
  #onPoured: (to: number, idleMs: number) => void = () => {};

  /** `onClose` is called once, when nothing more is wanted of the thread. */
  constructor(port: MessagePort, signal: AbortSignal, onClose: () => void) {
    super();
    this.#port = port;
    const onAbort = () => this.#abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#letGo = () => {
      signal.removeEventListener('abort', onAbort);
      onClose();
    };
    this.on('error', () => {}); // whoever reads sees it; an unread body must not end the daemon
    port.on('message', (answer: BodyAnswer) => this.#hear(answer));
    port.once('close', () => this.destroy(new Error('the thread that received it ended')));
  }

  /** The answer, once its head is here. */
  async answer(url: URL): Promise<HttpResponse> {
    return { ...(await this.#head.promise), url, body: this };
  }

  /**
   * Lets the thread write the body to a file, once nothing of it was read. `onPoured` hears how far the file has come and
   * for how long the thread had nothing to do. The file is left alone from when the promise settles, never before.
   */
  async pour(target: PourTarget, onPoured: (to: number, idleMs: number) => void): Promise<PourEnd> {
    if (this.destroyed) return { reason: 'broken', error: plain(this.errored ?? new Error('aborted')) };
    this.#onPoured = onPoured;
    this.#pouring = Promise.withResolvers();
    this.#ask({ pour: target });
    const end = await this.#pouring.promise;
    this.complete = end.reason === 'ended';
    this.destroy();
    return end;
  }

  /** While it is poured: stop there, or where it is by then. */
  endAt(end: number): void {
    this.#ask({ end });
  }

  override _read(): void {
    this.#ask({ read: true });
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const reason = error ?? new Error('aborted');
    this.#head.reject(reason);
    this.#head.promise.catch(() => {});
    this.#pouring?.resolve({ reason: 'broken', error: plain(reason) });
    this.#port.close();
    this.#letGo();
    done(error);
  }

  /** A file that is being written must not be left before the thread says so. */
  #abort(reason: unknown): void {
    if (this.#pouring !== undefined) this.#ask({ stop: true });
    else this.destroy(reason instanceof Error ? reason : new Error('aborted'));
  }

  #ask(request: BodyRequest): void {
    this.#port.postMessage(request);
  }

  #hear(answer: BodyAnswer): void {
    if ('chunk' in answer) this.push(answer.chunk);
    else if ('poured' in answer) this.#onPoured(answer.poured.to, answer.poured.idleMs);
    else if ('stopped' in answer) this.#pouring?.resolve(answer.stopped);
    else if ('error' in answer) this.destroy(Object.assign(new Error(), answer.error));
    else if ('ended' in answer) {
      this.complete = true;
      this.push(null);
    } else {
      this.headersDistinct = answer.head.headersDistinct;
      this.#head.resolve(answer.head);
    }
  }
}

const plain = (error: Error): PlainError => ({ message: error.message, code: undefined });

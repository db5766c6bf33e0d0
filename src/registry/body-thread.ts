import { extname } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { ExchangeMessage } from './body-messages.ts';
import type { HttpRequest, HttpResponse, Patience } from './exchange.ts';
import { ThreadBody } from './thread-body.ts';

const idleMs = 3_000;
const resourceLimits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2 };
// The build renames this file, so its own extension tells that of its neighbour.
const script = new URL(`./body-worker${extname(import.meta.url)}`, import.meta.url);

/**
 * One thread with connections of its own, for answers whose bodies are large: it can write them to a file by itself, so
 * that the event loop has no part in TLS, HTTP and copying, and no garbage of theirs. Started when first needed, ended
 * after three idle seconds, never keeps the process alive.
 */
export class BodyThread implements Disposable {
  readonly #patience: Patience;
  #worker: Worker | undefined;
  #open = 0;
  #idle: NodeJS.Timeout | undefined;

  constructor(patience: Patience) {
    this.#patience = patience;
  }

  /** As `exchange`: settles with the head of the answer. Rejects with what the connection says. */
  exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const { port1, port2 } = new MessageChannel();
    const { method, url, headers, tls, dialTimeoutMs, answerMs } = request;
    const asked = {
      ...{ method, url: url.href, headers, tls, dialTimeoutMs },
      ...(answerMs !== undefined && { answerMs }),
    };
    clearTimeout(this.#idle);
    this.#open++;
    const worker = this.#running();
    worker.ref();
    worker.postMessage({ request: asked, patience: this.#patience, port: port2 } satisfies ExchangeMessage, [
      port2,
    ]);
    return new ThreadBody(port1, signal, () => this.#closed()).answer(url);
  }

  #running(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(script, { execArgv: [], resourceLimits });
    const ended = () => {
      if (this.#worker === worker) this.#worker = undefined;
    };
    // Its ports close with it, which those who wait for an answer hear.
    worker.on('error', ended).on('exit', ended);
    this.#worker = worker;
    return worker;
  }

  #closed(): void {
    if (--this.#open > 0) return;
    this.#worker?.unref();
    this.#idle = setTimeout(() => this[Symbol.dispose](), idleMs).unref();
  }

  /** Ends the thread; bodies that are not read to their end break. */
  [Symbol.dispose](): void {
    clearTimeout(this.#idle);
    const worker = this.#worker;
    this.#worker = undefined;
    void worker?.terminate();
  }
}

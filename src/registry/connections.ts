import { Limiter } from '../async/limiter.ts';
import { BerthError } from '../errors/error.ts';
import { BodyThread } from './body-thread.ts';
import {
  Agents,
  exchange,
  type HttpRequest,
  type HttpResponse,
  httpLimits,
  type Patience,
} from './exchange.ts';
import { transportError } from './failure.ts';
import { HostHealth } from './host-health.ts';

/** Keep-alive connections. Follows no redirect and knows no credentials. */
export class Connections implements Disposable {
  readonly health = new HostHealth();
  /** Ranges of blobs that are fetched ahead of their readers, over all downloads: each may hold 3 MiB. */
  readonly ranges = new Limiter(httpLimits.ranges);
  readonly #agents = new Agents();
  readonly #thread: BodyThread;
  readonly #patience: Patience;

  constructor(patience: Partial<Patience> = {}) {
    this.#patience = { ...httpLimits, ...patience };
    this.#thread = new BodyThread(this.#patience);
  }

  /** One exchange; ends with the answer's headers. @throws unavailable, failed_precondition (certificate), aborted */
  async send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    signal.throwIfAborted();
    const { origin } = request.url;
    try {
      const response = await this.#exchange(request, signal);
      this.health.answered(origin);
      request.observe?.(request, response);
      return response;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof BerthError) throw error; // the body that was to be sent
      this.health.failed(origin);
      throw transportError(error, request.url);
    }
  }

  #exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    if (request.large === true) return this.#thread.exchange(request, signal);
    return exchange(request, this.#agents.for(request), signal, this.#patience);
  }

  [Symbol.dispose](): void {
    this.#agents[Symbol.dispose]();
    this.#thread[Symbol.dispose]();
  }
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import { messageOf } from '../../errors/error.ts';
import type { CallInfo } from '../../rpc/grpc-call.ts';
import type { Finding } from '../../runtime/reconcile/finding.ts';
import { HttpEndpoint } from '../http/endpoint.ts';
import type { MeterSources, Meters } from './meters.ts';

/**
 * What the daemon counts, as Prometheus text under `/metrics` and containerd's `/v1/metrics`. Nothing is loaded, counted
 * or served before the first address is listened at. Anybody who reaches the address may read.
 */
export class Metrics implements AsyncDisposable {
  readonly #sources: MeterSources;
  readonly #endpoint = new HttpEndpoint((request, response) => void this.#answer(request, response));
  #meters: Meters | undefined;

  constructor(sources: MeterSources) {
    this.#sources = sources;
  }

  /** Moves to `host:port`, '' for nowhere; what was counted is kept. @throws the system's error, then nothing changes */
  async listen(address: string): Promise<void> {
    if (address !== '') this.#meters ??= await loadMeters(this.#sources);
    await this.#endpoint.listen(address);
    if (address !== '') this.#sources.log.info({ address }, 'serving metrics');
  }

  /** A call began. */
  began(info: CallInfo): void {
    this.#meters?.began(info);
  }

  /** A call ended. */
  ended(info: CallInfo, failure: unknown, elapsedMs: number): void {
    this.#meters?.ended(info, failure, elapsedMs);
  }

  /** A garbage collection ended; undefined: it failed. */
  collected(tookMs: number | undefined): void {
    this.#meters?.collected(tookMs);
  }

  /** The result of a reconcile pass. */
  reconciled(findings: readonly Finding[]): void {
    this.#meters?.reconciled(findings);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#endpoint[Symbol.asyncDispose]();
  }

  async #answer({ url = '' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const meters = this.#meters;
    if (meters === undefined || !/^\/(v1\/)?metrics(\?|$)/.test(url))
      return void response.writeHead(404).end();
    try {
      const text = await meters.text();
      response.writeHead(200, { 'content-type': meters.contentType }).end(text);
    } catch (error) {
      response.writeHead(500).end(messageOf(error));
    }
  }
}

const loadMeters = async (sources: MeterSources): Promise<Meters> =>
  (await import('./meters.ts')).makeMeters(sources);

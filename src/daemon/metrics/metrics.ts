import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../../async/context.ts';
import { messageOf } from '../../errors/error.ts';
import type { Finding } from '../../runtime/reconcile/finding.ts';
import { HttpEndpoint } from '../http/endpoint.ts';
import type { Meters } from './meters.ts';

/**
 * What the daemon counts, as Prometheus text under `/metrics` and containerd's `/v1/metrics`. Nothing is loaded, counted
 * or served before the first address is listened at. Anybody who reaches the address may read.
 */
export class Metrics implements AsyncDisposable {
  readonly #log: Log;
  readonly #endpoint = new HttpEndpoint((request, response) => void this.#answer(request, response));
  #meters: Meters | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Moves to `host:port`, '' for nowhere; what was counted is kept. @throws the system's error, then nothing changes */
  async listen(address: string): Promise<void> {
    if (address !== '') this.#meters ??= await loadMeters();
    await this.#endpoint.listen(address);
    if (address !== '') this.#log.info({ address }, 'serving metrics');
  }

  /** The result of a reconcile pass. */
  reconciled(findings: readonly Finding[]): void {
    this.#meters?.reconciled(findings);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#endpoint[Symbol.asyncDispose]();
  }

  async #answer({ url = '' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const registry = this.#meters?.registry;
    if (registry === undefined || !/^\/(v1\/)?metrics(\?|$)/.test(url))
      return void response.writeHead(404).end();
    try {
      const text = await registry.metrics();
      response.writeHead(200, { 'content-type': registry.contentType }).end(text);
    } catch (error) {
      response.writeHead(500).end(messageOf(error));
    }
  }
}

const loadMeters = async (): Promise<Meters> => (await import('./meters.ts')).makeMeters();

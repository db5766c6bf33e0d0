import { createHash } from 'node:crypto';
import type http from 'node:http';
import type { Readable } from 'node:stream';
import type { TlsSettings } from './host.ts';

// Not imported: an import of a built-in reads its every export, which loads undici and parses all root certificates
// (3 MB and 20 ms that nobody needs).
const { Agent, request: requestHttp } = process.getBuiltinModule('node:http');
const { Agent: AgentTls, request: requestHttps } = process.getBuiltinModule('node:https');
const nodeTls = process.getBuiltinModule('node:tls');

/** Limits of one exchange: headers in bytes, times in milliseconds. */
export const httpLimits = {
  headerBytes: 64 * 1024,
  firstByteMs: 60_000,
  idleMs: 60_000,
  agents: 128,
  ranges: 12,
} as const;

export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** Bytes to send: all of them, or how to get them, each time that they are sent (`content-length` says how many). */
export type RequestBody = string | Uint8Array | (() => AsyncIterable<Uint8Array>);

export interface HttpRequest {
  readonly method: HttpMethod;
  readonly url: URL;
  readonly headers: http.OutgoingHttpHeaders;
  readonly body?: RequestBody;
  readonly tls: TlsSettings;
  readonly dialTimeoutMs: number;
  /** How long nothing may move before the answer comes. Default: {@link httpLimits}.firstByteMs. */
  readonly answerMs?: number;
  /** Its body may be large: a thread of its own takes it (see body-thread.ts). Only without a `body` to send. */
  readonly large?: boolean;
  /** Told of the exchange once its answer has begun. */
  readonly observe?: ((request: HttpRequest, response: HttpResponse) => void) | undefined;
}

/** What comes behind the headers. It must be read or destroyed. */
export type ResponseBody = Readable & Pick<http.IncomingMessage, 'complete' | 'headersDistinct'>;

/** An answer whose body still has to be read or destroyed. `url` is where it came from, after redirects. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly url: URL;
  readonly body: ResponseBody;
  /** What is known about a refusal beyond its status, for the error message. */
  readonly note?: string;
}

/** How long an answer may take to begin, and to go on, in milliseconds. Default: a minute each. */
export interface Patience {
  readonly firstByteMs: number;
  readonly idleMs: number;
}

/** Keep-alive connections of one thread: one agent for each origin and trust setting. Disposing closes them. */
export class Agents implements Disposable {
  readonly #agents = new Map<string, http.Agent>();

  for(request: Pick<HttpRequest, 'url' | 'tls'>): http.Agent {
    const key = `${request.url.origin} ${tlsKey(request)}`;
    const known = this.#agents.get(key);
    if (known) return known;
    if (this.#agents.size >= httpLimits.agents) this.#dropOldest();
    const agent = makeAgent(request);
    this.#agents.set(key, agent);
    return agent;
  }

  #dropOldest(): void {
    const [oldest] = this.#agents;
    if (oldest === undefined) return;
    this.#agents.delete(oldest[0]);
    // Sockets in use finish first: only the idle ones of a dropped agent time out.
  }

  [Symbol.dispose](): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }
}

function tlsKey({ url, tls }: Pick<HttpRequest, 'url' | 'tls'>): string {
  if (url.protocol === 'http:') return '';
  return createHash('sha256').update(JSON.stringify(tls)).digest('hex');
}

function makeAgent({ url, tls }: Pick<HttpRequest, 'url' | 'tls'>): http.Agent {
  const options = { keepAlive: true, maxFreeSockets: 8, timeout: 30_000 };
  if (url.protocol === 'http:') return new Agent(options);
  const { ca, client, skipVerify } = tls;
  return new AgentTls({
    ...options,
    ...(ca.length > 0 && { ca: [...nodeTls.rootCertificates, ...ca] }),
    ...(client.length > 0 && { cert: client.map((c) => c.cert), key: client.map((c) => c.key) }),
    rejectUnauthorized: !skipVerify,
  });
}

/** Sends a request; settles with the head of its answer. Rejects with what the connection says. */
export function exchange(
  request: HttpRequest,
  agent: http.Agent,
  signal: AbortSignal,
  patience: Patience,
): Promise<HttpResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>();
  const { method, headers, url } = request;
  const options = { method, headers, agent, signal, maxHeaderSize: httpLimits.headerBytes };
  const sent = url.protocol === 'http:' ? requestHttp(url, options) : requestHttps(url, options);
  const stopDialTimer = watchDial(sent, request.dialTimeoutMs);
  sent.setTimeout(request.answerMs ?? patience.firstByteMs, () =>
    sent.destroy(new Error('no answer in time')),
  );
  sent.on('error', reject);
  sent.on('close', stopDialTimer);
  sent.on('response', (body) => {
    body.setTimeout(patience.idleMs, () => body.destroy(new Error('no data in time')));
    body.on('error', () => {}); // whoever reads sees it; an unread body must not end the daemon
    resolve({ status: body.statusCode ?? 0, headers: body.headers, url, body });
  });
  if (typeof request.body === 'function') void pour(sent, request.body());
  else sent.end(request.body);
  return promise;
}

/** Sends a body as fast as it is taken. What is answered before all is sent is the answer: the rest stays here. */
async function pour(sent: http.ClientRequest, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  let over = false;
  let wake = () => {};
  sent.on('drain', () => wake());
  for (const event of ['close', 'response'] as const)
    sent.once(event, () => {
      over = true;
      wake();
    });
  sent.once('response', (body: http.IncomingMessage) => body.once('close', () => endUnsent(sent)));
  try {
    for await (const chunk of chunks) {
      if (over) return;
      if (sent.write(chunk)) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    sent.end();
  } catch (error) {
    sent.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

/** A connection in the middle of a body can carry no other request. */
function endUnsent(sent: http.ClientRequest): void {
  if (!sent.writableEnded) sent.destroy();
}

/** Fails a request whose connection is not up (TLS included) in time; returns how to stop watching. */
function watchDial(sent: http.ClientRequest, timeoutMs: number): () => void {
  const timer = setTimeout(() => sent.destroy(new Error('connection timed out')), timeoutMs);
  const stop = () => clearTimeout(timer);
  sent.once('socket', (socket) => {
    if (!socket.connecting) return stop();
    socket.once('encrypted' in socket ? 'secureConnect' : 'connect', stop);
  });
  sent.once('response', stop);
  return stop;
}

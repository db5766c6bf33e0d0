import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../async/context.ts';
import { failedPrecondition, isKind } from '../errors/error.ts';
import type { HttpMethod, HttpResponse } from './exchange.ts';
import { discard, printable, statusError } from './failure.ts';
import type { RegistryHost } from './host.ts';
import type { BlobPush } from './push-blob.ts';
import { targetOf } from './redirect.ts';
import { isTransientStatus, noRetry, parseRetryAfter, pauseAfter } from './retry.ts';
import type { RegistrySession } from './session.ts';

/** Pieces for registries (and proxies before them) that refuse a blob in one. */
const chunkBytes = { most: 16 * 1024 * 1024, least: 1024 * 1024 } as const;
/** A registry may hash and copy for long before it answers. */
const answerMs = 5 * 60_000;

/** An upload under way (distribution spec, "pushing a blob"). */
interface Upload {
  location: URL;
  /** Bytes that the registry has. */
  offset: number;
  /** Size of the pieces; undefined: all in one. */
  pieceBytes: number | undefined;
}

/** Why a piece was not taken, for another try. */
interface Setback {
  readonly error: Error;
  readonly retryAfterMs?: number | undefined;
}

/** Where an answer says that an upload goes on. @throws permission_denied (a place to stay away from), unavailable */
export const locationOf = ({ headers, url }: HttpResponse): URL => targetOf(url, headers.location);

/**
 * Sends the bytes of a blob to the upload at `begun`. After a setback the registry is asked how far it came, and when
 * it has forgotten, `begin` begins another upload. Ends when progress stops for as many tries as the session allows.
 * @throws unavailable, permission_denied, failed_precondition (registry answers another digest), …
 */
export async function sendUpload(
  ctx: Context,
  session: RegistrySession,
  host: RegistryHost,
  push: BlobPush,
  begun: URL,
  begin: () => Promise<URL>,
): Promise<void> {
  const sender = new Sender(ctx, session, host, push, begun);
  for (let failures = 0; ; ) {
    const before = sender.offset;
    const setback = await sender.send();
    if (setback === undefined) return;
    ctx.signal.throwIfAborted();
    failures = sender.offset > before ? 1 : failures + 1;
    const pauseMs = pauseAfter(session.retry, failures, setback.retryAfterMs);
    if (failures >= session.retry.attempts || pauseMs === undefined) throw setback.error;
    await sleep(pauseMs, undefined, { signal: ctx.signal });
    await sender.findOut(begin);
  }
}

class Sender {
  readonly #ctx: Context;
  readonly #session: RegistrySession;
  readonly #host: RegistryHost;
  readonly #push: BlobPush;
  readonly #upload: Upload;

  constructor(ctx: Context, session: RegistrySession, host: RegistryHost, push: BlobPush, location: URL) {
    this.#ctx = ctx;
    this.#session = session;
    this.#host = host;
    this.#push = push;
    this.#upload = { location, offset: 0, pieceBytes: undefined };
  }

  get offset(): number {
    return this.#upload.offset;
  }

  /** Sends what is missing; undefined when the registry has accepted the blob. */
  async send(): Promise<Setback | undefined> {
    const { size } = this.#push.descriptor;
    const inPieces = this.#upload.pieceBytes !== undefined || this.#upload.offset > 0;
    if (!inPieces) return this.#put(0, size);
    while (this.#upload.offset < size) {
      const setback = await this.#patch();
      if (setback !== undefined) return setback;
    }
    return this.#put(size, size);
  }

  /** Learns where the upload stands. Begins anew where nobody knows. @throws what `begin` throws */
  async findOut(begin: () => Promise<URL>): Promise<void> {
    const known = await this.#status();
    if (known === undefined) this.#upload.location = await begin();
    this.#upload.offset = known ?? 0;
    this.#push.report?.(this.#upload.offset);
  }

  async #status(): Promise<number | undefined> {
    try {
      const response = await this.#call('GET', this.#upload.location, 0, 0);
      discard(response);
      const offset = offsetOf(response);
      if (response.status !== 204 || offset === undefined || offset > this.#push.descriptor.size)
        return undefined;
      this.#moveTo(response);
      return offset;
    } catch (error) {
      this.#ctx.signal.throwIfAborted();
      if (isKind(error, 'unavailable')) return undefined;
      throw error;
    }
  }

  async #put(offset: number, end: number): Promise<Setback | undefined> {
    const { digest } = this.#push.descriptor;
    const location = new URL(this.#upload.location);
    location.searchParams.set('digest', digest);
    return this.#attempt(
      () => this.#call('PUT', location, offset, end),
      (response) => {
        const answered = response.headers['docker-content-digest'];
        if (answered !== undefined && answered !== digest)
          throw failedPrecondition(`push blob ${digest}: registry took it as ${printable(String(answered))}`);
      },
    );
  }

  async #patch(): Promise<Setback | undefined> {
    const { offset, pieceBytes } = this.#upload;
    const end = Math.min(this.#push.descriptor.size, offset + (pieceBytes ?? Number.POSITIVE_INFINITY));
    return this.#attempt(
      () => this.#call('PATCH', this.#upload.location, offset, end),
      (response) => {
        this.#moveTo(response);
        this.#upload.offset = Math.min(offsetOf(response) ?? end, end);
      },
    );
  }

  async #attempt(
    send: () => Promise<HttpResponse>,
    accept: (response: HttpResponse) => void,
  ): Promise<Setback | undefined> {
    let response: HttpResponse;
    try {
      response = await send();
    } catch (error) {
      if (error instanceof Error && isKind(error, 'unavailable')) return { error };
      throw error;
    }
    if (response.status < 300) {
      discard(response);
      return void accept(response);
    }
    const retryAfterMs = parseRetryAfter(response.headers['retry-after']);
    const error = await statusError(response, `push blob ${this.#push.descriptor.digest}`);
    if (response.status === 413 && this.#makeSmaller()) return { error };
    if (isTransientStatus(response.status) || response.status === 404 || response.status === 416)
      return { error, retryAfterMs };
    throw error;
  }

  /** True when smaller pieces are worth a try. */
  #makeSmaller(): boolean {
    const now = Math.min(this.#upload.pieceBytes ?? Number.POSITIVE_INFINITY, this.#push.descriptor.size);
    const smaller = Math.min(chunkBytes.most, Math.ceil(now / 2));
    if (smaller < chunkBytes.least) return false;
    this.#upload.pieceBytes = smaller;
    return true;
  }

  #moveTo(response: HttpResponse): void {
    if (response.headers.location !== undefined) this.#upload.location = locationOf(response);
  }

  #call(method: HttpMethod, path: URL, offset: number, end: number): Promise<HttpResponse> {
    const headers = {
      'content-type': 'application/octet-stream',
      ...(method !== 'GET' && { 'content-length': String(end - offset) }),
      ...(method === 'PATCH' && { 'content-range': `${offset}-${end - 1}` }),
    };
    const call = { method, path, headers, what: `push blob ${this.#push.descriptor.digest}`, answerMs };
    const body = end > offset ? { body: () => this.#counted(offset, end) } : {};
    const retry = method === 'GET' ? this.#session.retry : noRetry;
    return this.#session.send(this.#ctx, this.#host, { ...call, ...body }, retry);
  }

  async *#counted(offset: number, end: number): AsyncGenerator<Uint8Array> {
    let at = offset;
    for await (const chunk of this.#push.read(offset, end)) {
      at += chunk.byteLength;
      yield chunk;
      this.#push.report?.(at);
    }
  }
}

/** Bytes that a registry has, by its Range header (`0-1023`; `0-0` is what an empty upload says). */
function offsetOf({ headers }: HttpResponse): number | undefined {
  const text = headers.range;
  if (text === undefined) return undefined;
  const end = Number(/^(?:bytes=)?0-(\d{1,15})$/.exec(text)?.[1] ?? Number.NaN);
  if (Number.isNaN(end)) return undefined;
  return end === 0 ? 0 : end + 1;
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../async/context.ts';
import { isKind, kindOf, unavailable } from '../errors/error.ts';
import type { Digest } from '../oci/digest.ts';
import { formatReference, type Reference } from '../oci/reference.ts';
import { type Access, Authorizer } from './auth.ts';
import type { Connections } from './connections.ts';
import { anonymous, type CredentialSource } from './credentials.ts';
import { dumpOf } from './dump.ts';
import type { HttpMethod, HttpRequest, HttpResponse, RequestBody } from './exchange.ts';
import { discard, statusError } from './failure.ts';
import { type Capability, originOf, type RegistryHost } from './host.ts';
import { defaultDialTimeoutMs, defaultHost, type HostsOptions, hostsFor } from './hosts.ts';
import { readdressed, sendFollowing } from './redirect.ts';
import {
  defaultRetry,
  isTransientStatus,
  noRetry,
  parseRetryAfter,
  type RetryPolicy,
  retrying,
} from './retry.ts';
import { repositoryScope, unionScopes } from './scopes.ts';
import { parseWarnings } from './warnings.ts';

export interface SessionOptions extends HostsOptions {
  readonly connections: Connections;
  /** Default: no credentials. */
  readonly credentials?: CredentialSource;
  /** Sent to registries and mirrors, never along redirects. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly retry?: RetryPolicy;
  /** Told what registries want people to know (`Warning: 299`), each text once. */
  readonly warn?: (text: string) => void;
  /** Told of each request to a registry and its answer, as text; of those to token servers never. */
  readonly dump?: (text: string) => void;
  /** What the session is for. Default: pull. */
  readonly actions?: 'pull' | 'pull,push';
}

/** A request for one host. */
export interface HostCall {
  readonly method: HttpMethod;
  /** Comes after `/v2/<repository>`; a URL is an address that the host gave, which may be elsewhere. */
  readonly path: string | URL;
  readonly headers: Readonly<Record<string, string>>;
  /** For error messages: what is being asked for. */
  readonly what: string;
  readonly body?: RequestBody;
  /** Besides what the session may do in its own repository. */
  readonly scopes?: readonly string[];
  readonly answerMs?: number;
  /** See {@link HttpRequest.large}. */
  readonly large?: boolean;
}

const maxWarnings = 16;

/**
 * One client's dealings with the registry of one reference: its hosts, its tokens, its patience. Made for each pull and
 * thrown away after it, so that no credentials outlive the call that brought them.
 */
export class RegistrySession {
  readonly reference: Reference;
  readonly retry: RetryPolicy;
  readonly connections: Connections;
  readonly #options: SessionOptions;
  readonly #authorizer: Authorizer;
  readonly #hosts: readonly RegistryHost[];
  readonly #access: Access;
  readonly #observe: HttpRequest['observe'];
  readonly #warned = new Set<string>();
  readonly #ranged = new Map<Digest, 'used' | 'distrusted'>();

  private constructor(reference: Reference, hosts: readonly RegistryHost[], options: SessionOptions) {
    this.reference = reference;
    this.retry = options.retry ?? defaultRetry;
    this.connections = options.connections;
    this.#hosts = hosts;
    this.#options = options;
    this.#authorizer = new Authorizer(options.connections, options.credentials ?? anonymous);
    const { dump } = options;
    this.#observe = dump && ((request, response) => dump(dumpOf(request, response)));
    const scopes = reference.path === '' ? [] : [repositoryScope(reference.path, options.actions ?? 'pull')];
    this.#access = { reference: formatReference(reference), scopes };
  }

  /** Reads the host configuration, sends nothing. @throws invalid_argument (a bad hosts.toml) */
  static async open(reference: Reference, options: SessionOptions): Promise<RegistrySession> {
    return new RegistrySession(reference, await hostsFor(reference.domain, options), options);
  }

  /** The registry itself, not a mirror of it. */
  get server(): RegistryHost {
    return this.#hosts.at(-1) ?? defaultHost(this.reference.domain);
  }

  /** The registry's own origin, for judging addresses it sends us to. */
  get origin(): string {
    return originOf(this.server);
  }

  /**
   * Uses hosts with a capability in order until one succeeds. Mirrors get one try each, the last host the whole retry
   * policy. @throws unavailable when no host has the capability, else the last host's error
   */
  async onHosts<T>(
    ctx: Context,
    capability: Capability,
    use: (host: RegistryHost, retry: RetryPolicy) => Promise<T>,
  ): Promise<T> {
    const hosts = this.#hosts.filter((host) => host.capabilities.has(capability));
    const last = hosts.pop();
    if (last === undefined)
      throw unavailable(`no host of ${this.reference.domain} is configured to ${capability}`);
    for (const host of hosts) {
      if (!this.connections.health.isWorthATry(originOf(host))) continue;
      try {
        return await use(asMirror(host), noRetry);
      } catch (error) {
        ctx.signal.throwIfAborted();
        ctx.log.warn(
          { host: host.authority, kind: kindOf(error), err: error },
          'mirror failed, trying the next host',
        );
      }
    }
    return use(last, this.retry);
  }

  /** Notes that a blob comes in ranges, which only its digest can prove to be of one thing. */
  usesRanges(digest: Digest): void {
    this.#ranged.set(digest, this.#ranged.get(digest) ?? 'used');
  }

  /**
   * For a blob whose bytes were wrong: true when it came in ranges and is worth fetching once more, which will then be
   * by one connection.
   */
  doubtRanges(digest: Digest): boolean {
    const worth = this.#ranged.get(digest) === 'used';
    this.#ranged.set(digest, 'distrusted');
    return worth;
  }

  distrustsRanges(digest: Digest): boolean {
    return this.#ranged.get(digest) === 'distrusted';
  }

  /** The one host that is pushed to: the first that may be, as in containerd. @throws unavailable */
  get pushHost(): RegistryHost {
    const host = this.#hosts.find(({ capabilities }) => capabilities.has('push'));
    if (host === undefined) throw unavailable(`no host of ${this.reference.domain} is configured to push`);
    return host;
  }

  /** Sends until the answer is not a passing failure; any other status is the caller's to judge. @throws unavailable, … */
  async send(ctx: Context, host: RegistryHost, call: HostCall, retry: RetryPolicy): Promise<HttpResponse> {
    return retrying(retry, ctx.signal, async () => {
      try {
        await this.#pause(ctx, host);
        const response = await this.#sendAuthorized(ctx, host, call);
        this.#noteWarnings(host, response);
        if (!isTransientStatus(response.status)) return { value: response };
        const retryAfterMs = parseRetryAfter(response.headers['retry-after']);
        if (retryAfterMs !== undefined) this.connections.health.asked(originOf(host), retryAfterMs);
        return { error: await statusError(response, call.what), retryAfterMs };
      } catch (error) {
        if (error instanceof Error && isKind(error, 'unavailable') && !ctx.signal.aborted) return { error };
        throw error;
      }
    });
  }

  /** A host that stands in for another is told which (`ns`), at its own addresses only. */
  #withNamespace(url: URL, host: RegistryHost): URL {
    const { domain } = this.reference;
    if (host.authority === defaultHost(domain).authority || url.origin !== originOf(host)) return url;
    const named = new URL(url);
    named.searchParams.set('ns', domain);
    return named;
  }

  async #pause(ctx: Context, host: RegistryHost): Promise<void> {
    const pauseMs = this.connections.health.pauseMs(originOf(host));
    if (pauseMs > 0) await sleep(pauseMs, undefined, { signal: ctx.signal });
  }

  #noteWarnings({ authority }: RegistryHost, { headers }: HttpResponse): void {
    for (const text of parseWarnings(headers.warning)) {
      if (this.#warned.has(text) || this.#warned.size >= maxWarnings) continue;
      this.#warned.add(text);
      this.#options.warn?.(`${authority}: ${text}`);
    }
  }

  /** Answers challenges of the host's own origin only; a redirect target that wants a login is simply refused one. */
  async #sendAuthorized(ctx: Context, host: RegistryHost, call: HostCall): Promise<HttpResponse> {
    const access = this.#accessOf(call);
    for (let tries = 0; ; tries++) {
      const authorization = this.#authorizer.header(host, access);
      const response = await sendFollowing(this.connections, ctx, this.#request(host, call, authorization));
      if (response.status !== 401 || response.url.origin !== originOf(host)) return response;
      const challenges = response.body.headersDistinct['www-authenticate'] ?? [];
      const again =
        tries < 2 && (await this.#authorizer.answer(ctx, host, access, challenges, authorization));
      if (!again) return { ...response, note: await this.#authorizer.explain(host) };
      discard(response);
    }
  }

  #accessOf({ scopes = [] }: HostCall): Access {
    return scopes.length === 0
      ? this.#access
      : { ...this.#access, scopes: unionScopes([...this.#access.scopes, ...scopes]) };
  }

  #request(host: RegistryHost, call: HostCall, authorization: string | undefined): HttpRequest {
    const { path, method, body, answerMs, large = false } = call;
    const own = typeof path === 'string' ? path : '';
    const base = new URL(`${originOf(host)}${host.path}/${this.reference.path}${own}`);
    const url = this.#withNamespace(base, host);
    const headers = {
      'user-agent': 'berth',
      'accept-encoding': 'identity',
      ...this.#options.headers,
      ...host.headers,
      ...call.headers,
      ...(authorization !== undefined && { authorization }),
    };
    const request = {
      method,
      url,
      headers,
      tls: host.tls,
      dialTimeoutMs: host.dialTimeoutMs ?? defaultDialTimeoutMs,
      ...(body !== undefined && { body }),
      large,
      ...withAnswerMs(answerMs ?? host.answerMs),
      observe: this.#observe,
    };
    return typeof path === 'string' ? request : readdressed(request, this.#withNamespace(path, host));
  }
}

/** A mirror has others behind it: it is not waited for as the registry itself is. */
const mirrorLimits = { dialMs: 3_000, answerMs: 15_000 } as const;

const asMirror = (host: RegistryHost): RegistryHost => ({
  ...host,
  dialTimeoutMs: host.dialTimeoutMs ?? mirrorLimits.dialMs,
  answerMs: mirrorLimits.answerMs,
});

const withAnswerMs = (answerMs: number | undefined) => (answerMs === undefined ? {} : { answerMs });

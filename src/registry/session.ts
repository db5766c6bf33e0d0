import type { Context } from '../async/context.ts';
import { isKind, kindOf, unavailable } from '../errors/error.ts';
import { formatReference, type Reference } from '../oci/reference.ts';
import { type Access, Authorizer } from './auth.ts';
import type { Connections, HttpRequest, HttpResponse } from './connections.ts';
import { anonymous, type CredentialSource } from './credentials.ts';
import { discard, statusError } from './failure.ts';
import { type Capability, originOf, type RegistryHost } from './host.ts';
import { defaultHost, type HostsOptions, hostsFor } from './hosts.ts';
import { sendFollowing } from './redirect.ts';
import {
  defaultRetry,
  isTransientStatus,
  noRetry,
  parseRetryAfter,
  type RetryPolicy,
  retrying,
} from './retry.ts';

export interface SessionOptions extends HostsOptions {
  readonly connections: Connections;
  /** Default: no credentials. */
  readonly credentials?: CredentialSource;
  /** Sent to registries and mirrors, never along redirects. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly retry?: RetryPolicy;
}

/** A request for one host. `path` comes after `/v2/<repository>`. */
export interface HostCall {
  readonly method: 'GET' | 'HEAD';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** For error messages: what is being asked for. */
  readonly what: string;
}

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

  private constructor(reference: Reference, hosts: readonly RegistryHost[], options: SessionOptions) {
    this.reference = reference;
    this.retry = options.retry ?? defaultRetry;
    this.connections = options.connections;
    this.#hosts = hosts;
    this.#options = options;
    this.#authorizer = new Authorizer(options.connections, options.credentials ?? anonymous);
    this.#access = { reference: formatReference(reference), scope: `repository:${reference.path}:pull` };
  }

  /** Reads the host configuration, sends nothing. @throws invalid_argument (a bad hosts.toml) */
  static async open(reference: Reference, options: SessionOptions): Promise<RegistrySession> {
    return new RegistrySession(reference, await hostsFor(reference.domain, options), options);
  }

  /** The registry's own origin, for judging addresses it sends us to. */
  get origin(): string {
    return originOf(this.#hosts.at(-1) ?? defaultHost(this.reference.domain));
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
      try {
        return await use(host, noRetry);
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

  /** Sends until the answer is not a passing failure; any other status is the caller's to judge. @throws unavailable, … */
  async send(ctx: Context, host: RegistryHost, call: HostCall, retry: RetryPolicy): Promise<HttpResponse> {
    return retrying(retry, ctx.signal, async () => {
      try {
        const response = await this.#sendAuthorized(ctx, host, call);
        if (!isTransientStatus(response.status)) return { value: response };
        const retryAfterMs = parseRetryAfter(response.headers['retry-after']);
        return { error: await statusError(response, call.what), retryAfterMs };
      } catch (error) {
        if (error instanceof Error && isKind(error, 'unavailable') && !ctx.signal.aborted) return { error };
        throw error;
      }
    });
  }

  /** Answers challenges of the host's own origin only; a redirect target that wants a login is simply refused one. */
  async #sendAuthorized(ctx: Context, host: RegistryHost, call: HostCall): Promise<HttpResponse> {
    for (let tries = 0; ; tries++) {
      const authorization = this.#authorizer.header(host, this.#access);
      const response = await sendFollowing(this.connections, ctx, this.#request(host, call, authorization));
      if (response.status !== 401 || response.url.origin !== originOf(host)) return response;
      const challenges = response.body.headersDistinct['www-authenticate'] ?? [];
      const again =
        tries < 2 && (await this.#authorizer.answer(ctx, host, this.#access, challenges, authorization));
      if (!again) return { ...response, note: await this.#authorizer.explain(host) };
      discard(response);
    }
  }

  #request(host: RegistryHost, call: HostCall, authorization: string | undefined): HttpRequest {
    const url = new URL(`${originOf(host)}${host.path}/${this.reference.path}${call.path}`);
    if (host.authority !== defaultHost(this.reference.domain).authority)
      url.searchParams.set('ns', this.reference.domain);
    const headers = {
      'user-agent': 'berth',
      'accept-encoding': 'identity',
      ...this.#options.headers,
      ...host.headers,
      ...call.headers,
      ...(authorization !== undefined && { authorization }),
    };
    return { method: call.method, url, headers, tls: host.tls, dialTimeoutMs: host.dialTimeoutMs };
  }
}

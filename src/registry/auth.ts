import type { Context } from '../async/context.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import type { Connections } from './connections.ts';
import { basicHeader, type CredentialSource, type Credentials } from './credentials.ts';
import { originOf, type RegistryHost } from './host.ts';
import { checkRealm } from './realm.ts';
import { unionScopes } from './scopes.ts';
import { fetchToken } from './token.ts';

interface Entry {
  readonly header: string;
  /** On the monotonic clock, so that a clock jump changes nothing. */
  readonly expiresAtMs: number;
}

/** What a host is asked for. */
export interface Access {
  readonly reference: string;
  /** For example `repository:library/redis:pull`. None: what needs no more than a login. */
  readonly scopes: readonly string[];
}

/**
 * The Authorization headers of one session, each tied to exactly one origin (scheme, host and port) and scope. Nothing
 * of it is logged or outlives the session.
 */
export class Authorizer {
  readonly #connections: Connections;
  readonly #source: CredentialSource;
  readonly #headers = new Map<string, Entry>();
  readonly #credentials = new Map<string, Promise<Credentials | undefined>>();
  readonly #pending = new Map<string, Promise<boolean>>();

  constructor(connections: Connections, source: CredentialSource) {
    this.#connections = connections;
    this.#source = source;
  }

  /** The header to send to `host`, if one is known and has not expired. */
  header(host: RegistryHost, access: Access): string | undefined {
    const key = keyOf(host, access);
    const entry = this.#headers.get(key);
    if (entry !== undefined && entry.expiresAtMs > performance.now()) return entry.header;
    this.#headers.delete(key);
    return undefined;
  }

  /**
   * Answers a 401 of `host` itself. `refused` is the header it did not accept. True when there is a new header to try.
   * @throws unauthenticated, permission_denied (token server), unavailable
   */
  async answer(
    ctx: Context,
    host: RegistryHost,
    access: Access,
    challenges: readonly string[],
    refused: string | undefined,
  ): Promise<boolean> {
    const known = this.header(host, access);
    if (known !== undefined && known !== refused) return true;
    this.#headers.delete(keyOf(host, access));
    return this.#once(keyOf(host, access), () => this.#authorize(ctx, host, access, challenges, refused));
  }

  /** Why a host still says 401, in words for its caller. */
  async explain(host: RegistryHost): Promise<string> {
    const credentials = await this.#credentials.get(originOf(host));
    return credentials === undefined ? 'a login is required' : 'the credentials were refused';
  }

  /** One token request for however many layers wait for it. */
  async #once(key: string, start: () => Promise<boolean>): Promise<boolean> {
    const running = this.#pending.get(key);
    if (running) return running;
    const started = start().finally(() => this.#pending.delete(key));
    this.#pending.set(key, started);
    return started;
  }

  async #authorize(
    ctx: Context,
    host: RegistryHost,
    access: Access,
    headers: readonly string[],
    refused: string | undefined,
  ): Promise<boolean> {
    const credentials = await this.#ask(ctx, host, access, headers);
    const entry = await this.#entryFor(ctx, host, access, parseChallenges(headers), credentials);
    if (entry === undefined || entry.header === refused) return false;
    this.#headers.set(keyOf(host, access), entry);
    return true;
  }

  async #entryFor(
    ctx: Context,
    host: RegistryHost,
    access: Access,
    challenges: readonly Challenge[],
    credentials: Credentials | undefined,
  ): Promise<Entry | undefined> {
    if (credentials?.kind === 'header')
      return { header: credentials.value, expiresAtMs: Number.POSITIVE_INFINITY };
    const bearer = challenges.find((challenge) => challenge.scheme === 'bearer');
    if (bearer !== undefined) return this.#bearer(ctx, host, access, bearer, credentials);
    const wantsBasic = challenges.some((challenge) => challenge.scheme === 'basic');
    if (!wantsBasic || credentials?.kind !== 'basic') return undefined;
    const header = basicHeader(credentials.username, credentials.password);
    return { header, expiresAtMs: Number.POSITIVE_INFINITY };
  }

  async #bearer(
    ctx: Context,
    host: RegistryHost,
    access: Access,
    challenge: Challenge,
    credentials: Credentials | undefined,
  ): Promise<Entry> {
    const realm = checkRealm(challenge.parameters.get('realm') ?? '', originOf(host));
    const service = challenge.parameters.get('service') ?? '';
    const asked = challenge.parameters.get('scope')?.split(' ') ?? [];
    const scopes = unionScopes([...access.scopes, ...asked]);
    const token = await fetchToken(this.#connections, ctx, host, { realm, service, scopes }, credentials);
    return { header: `Bearer ${token.value}`, expiresAtMs: performance.now() + token.lifetimeMs };
  }

  #ask(
    ctx: Context,
    host: RegistryHost,
    access: Access,
    challenges: readonly string[],
  ): Promise<Credentials | undefined> {
    const origin = originOf(host);
    const known = this.#credentials.get(origin);
    if (known) return known;
    const asked = this.#source(ctx, { host: host.authority, reference: access.reference, challenges });
    this.#credentials.set(origin, asked);
    return asked;
  }
}

const keyOf = (host: RegistryHost, access: Access): string => [originOf(host), ...access.scopes].join(' ');

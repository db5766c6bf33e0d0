import type { Context } from '../async/context.ts';
import { type BerthError, permissionDenied, unavailable } from '../errors/error.ts';
import type { Connections } from './connections.ts';
import { basicHeader, type Credentials } from './credentials.ts';
import type { HttpRequest, HttpResponse } from './exchange.ts';
import { readBody, statusError } from './failure.ts';
import { defaultTls, type RegistryHost } from './host.ts';
import { defaultDialTimeoutMs } from './hosts.ts';

const limits = {
  bodyBytes: 1024 * 1024,
  tokenChars: 48 * 1024,
  leewaySeconds: 5,
  leastSeconds: 60,
} as const;

/** Whom to ask for a token, and for what (distribution spec, "token authentication"). */
export interface TokenRequest {
  readonly realm: URL;
  readonly service: string;
  /** Sorted, without doubles. */
  readonly scopes: readonly string[];
}

/** A bearer token and how long it is good for, in milliseconds from when it came. */
export interface Token {
  readonly value: string;
  readonly lifetimeMs: number;
}

/**
 * Gets a token: anonymous and Basic by GET, refresh tokens by POST (OAuth 2), and POST as well where GET is unknown.
 * Redirects are refused: a token server that moves is asked nothing. @throws unauthenticated, permission_denied, unavailable
 */
export async function fetchToken(
  connections: Connections,
  ctx: Context,
  host: RegistryHost,
  request: TokenRequest,
  credentials: Credentials | undefined,
): Promise<Token> {
  const send = (draft: Draft) => connections.send({ ...draft, ...trust(host, request.realm) }, ctx.signal);
  let response = await send(
    credentials?.kind === 'refresh' ? post(request, credentials) : get(request, credentials),
  );
  if (credentials?.kind === 'basic' && (response.status === 404 || response.status === 405)) {
    response.body.destroy();
    response = await send(post(request, credentials));
  }
  return readToken(response, request.realm);
}

type Draft = Omit<HttpRequest, 'tls' | 'dialTimeoutMs'>;

/** The registry's own CA also vouches for its token server; `skip_verify` only for the very same host name. */
function trust(host: RegistryHost, realm: URL): Pick<HttpRequest, 'tls' | 'dialTimeoutMs'> {
  const { dialTimeoutMs = defaultDialTimeoutMs, tls } = host;
  const same = new URL(`${host.scheme}://${host.authority}`).hostname === realm.hostname;
  return { dialTimeoutMs, tls: same ? tls : { ...defaultTls, ca: tls.ca } };
}

const common = { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'berth' };

function get(request: TokenRequest, credentials: Credentials | undefined): Draft {
  const url = new URL(request.realm);
  if (request.service !== '') url.searchParams.set('service', request.service);
  for (const scope of request.scopes) url.searchParams.append('scope', scope);
  if (credentials?.kind !== 'basic') return { method: 'GET', url, headers: common };
  const authorization = basicHeader(credentials.username, credentials.password);
  return { method: 'GET', url, headers: { ...common, authorization } };
}

function post(request: TokenRequest, credentials: Credentials): Draft {
  const form = new URLSearchParams({ client_id: 'berth', service: request.service });
  if (request.scopes.length > 0) form.set('scope', request.scopes.join(' '));
  for (const [key, value] of grantOf(credentials)) form.set(key, value);
  const body = form.toString();
  const headers = {
    ...common,
    'content-type': 'application/x-www-form-urlencoded',
    'content-length': Buffer.byteLength(body),
  };
  return { method: 'POST', url: request.realm, headers, body };
}

function grantOf(credentials: Credentials): [string, string][] {
  if (credentials.kind === 'refresh')
    return [
      ['grant_type', 'refresh_token'],
      ['refresh_token', credentials.token],
    ];
  if (credentials.kind === 'header') return [];
  return [
    ['grant_type', 'password'],
    ['username', credentials.username],
    ['password', credentials.password],
  ];
}

async function readToken(response: HttpResponse, realm: URL): Promise<Token> {
  if (response.status >= 300 && response.status < 400) {
    response.body.destroy();
    throw permissionDenied(`token server ${realm.origin} redirects, which is not followed`);
  }
  if (response.status !== 200) throw await statusError(response, 'get token');
  const body = await readBody(response, limits.bodyBytes, `token of ${realm.origin}`);
  return parseToken(body.toString('utf8')) ?? badToken(realm);
}

function badToken(realm: URL): never {
  throw malformed(realm);
}
const malformed = (realm: URL): BerthError =>
  unavailable(`token server ${realm.origin} sent no usable token`);

/** Reads a token answer; undefined when it holds none that can go into a header. */
export function parseToken(text: string): Token | undefined {
  const answer = parseObject(text);
  const value = [answer?.token, answer?.access_token].find((v) => typeof v === 'string' && v !== '');
  if (typeof value !== 'string' || value.length > limits.tokenChars || !/^[\x21-\x7e]+$/.test(value))
    return undefined;
  const asked = typeof answer?.expires_in === 'number' ? answer.expires_in : 0;
  const seconds = Math.min(Math.max(asked, limits.leastSeconds), 86_400); // at least 60 s by the token specification
  return { value, lifetimeMs: (seconds - limits.leewaySeconds) * 1000 };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

import type { Context } from '../async/context.ts';

/** A secret for one registry. `header` is a complete Authorization value. Never logged, never stored. */
export type Credentials =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'refresh'; readonly token: string }
  | { readonly kind: 'header'; readonly value: string };

/**
 * Asked at most once per session and origin, after that origin has answered 401; only for hosts that the reference or
 * the configuration names, never for the target of a redirect.
 */
export type CredentialSource = (ctx: Context, request: CredentialRequest) => Promise<Credentials | undefined>;

export interface CredentialRequest {
  /** `host` or `host:port` that asks. */
  readonly host: string;
  /** The whole reference that is being pulled. */
  readonly reference: string;
  /** WWW-Authenticate headers as they came. */
  readonly challenges: readonly string[];
}

export const anonymous: CredentialSource = async () => undefined;

/** Value of an Authorization header (RFC 7617). */
export const basicHeader = (username: string, password: string): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

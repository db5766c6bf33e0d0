/** What a host may be asked for (hosts.toml `capabilities`). */
export type Capability = 'pull' | 'resolve' | 'push' | 'referrers';

export const allCapabilities: ReadonlySet<Capability> = new Set(['pull', 'resolve', 'push', 'referrers']);

/** How to trust a host and be trusted by it. Strings are PEM text, not paths. */
export interface TlsSettings {
  /** Added to the system's certificate authorities. */
  readonly ca: readonly string[];
  readonly client: readonly { readonly cert: string; readonly key: string }[];
  readonly skipVerify: boolean;
}

export const defaultTls: TlsSettings = { ca: [], client: [], skipVerify: false };

/** One place that serves a registry's API: the registry itself or a mirror of it. */
export interface RegistryHost {
  readonly scheme: 'https' | 'http';
  /** `host` or `host:port`, as it goes into a URL. */
  readonly authority: string;
  /** Prefix of the API, `/v2` unless `override_path`; no slash at the end. */
  readonly path: string;
  readonly capabilities: ReadonlySet<Capability>;
  /** Sent to this host's own origin only. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly tls: TlsSettings;
  /** Default: 30 s, and 3 s for a mirror. */
  readonly dialTimeoutMs?: number | undefined;
  /** How long its answer may take to begin. Default: a minute. */
  readonly answerMs?: number | undefined;
}

export const originOf = (host: RegistryHost): string => new URL(`${host.scheme}://${host.authority}`).origin;

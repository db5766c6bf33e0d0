import { parseReference, type Reference } from '../oci/reference.ts';
import type { CredentialSource } from '../registry/credentials.ts';
import type { RetryPolicy } from '../registry/retry.ts';
import { RegistrySession } from '../registry/session.ts';
import type { TransferParts } from './parts.ts';
import type { Report } from './progress.ts';

/** A repository or an image at a registry, and how to get in. */
export interface RegistryEndpoint {
  /** `host/path[:tag][@digest]`, host included. */
  readonly reference: string;
  readonly credentials?: CredentialSource;
  readonly headers?: Readonly<Record<string, string>>;
  /** Directory of hosts.toml folders. Default: the daemon's own. */
  readonly hostsDir?: string | undefined;
  readonly defaultScheme?: 'https' | 'http' | undefined;
  /** Told of each request and its answer, as text without secrets. */
  readonly dump?: (text: string) => void;
  /** How patient to be. Default: five tries. */
  readonly retry?: RetryPolicy;
}

interface SessionUse {
  readonly actions: 'pull' | 'pull,push';
  readonly report: Report;
}

/** A session with the registry of an endpoint; its warnings become progress. @throws invalid_argument */
export const openSession = (
  parts: TransferParts,
  endpoint: RegistryEndpoint,
  use: SessionUse,
): Promise<RegistrySession> => openSessionFor(parts, parseReference(endpoint.reference), endpoint, use);

/** As {@link openSession}, for a reference that need not be whole: an empty path is the registry itself. */
export function openSessionFor(
  parts: TransferParts,
  reference: Reference,
  { credentials, headers, hostsDir, defaultScheme, retry, dump }: Omit<RegistryEndpoint, 'reference'>,
  { actions, report }: SessionUse,
): Promise<RegistrySession> {
  return RegistrySession.open(reference, {
    connections: parts.connections,
    hostsDirs: hostsDir === undefined ? parts.hostsDirs?.() : [hostsDir],
    defaultScheme,
    actions,
    warn: (text) => report({ phase: 'warning', name: text, offset: 0, total: 0 }),
    ...(credentials !== undefined && { credentials }),
    ...(headers !== undefined && { headers }),
    ...(retry !== undefined && { retry }),
    ...(dump !== undefined && { dump }),
  });
}

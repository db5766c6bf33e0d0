import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { permissionDenied } from '../errors/error.ts';
import { reachOf } from './address.ts';
import { readCertsDir } from './certs-dir.ts';
import { allCapabilities, defaultTls, type RegistryHost } from './host.ts';
import { readHostsFile } from './hosts-file.ts';

/** Default of `dial_timeout`, in milliseconds. */
export const defaultDialTimeoutMs = 30_000;

export interface HostsOptions {
  /** Directories of hosts.toml or certs.d folders (`--hosts-dir`, `config_path`), read again on each use; the first that has one for the host counts. */
  readonly hostsDirs?: readonly string[] | undefined;
  /** Scheme of hosts that no file configures. Default: https, but http on loopback addresses. */
  readonly defaultScheme?: 'https' | 'http' | undefined;
}

/**
 * Where to go for what is named under `domain`, in order: the mirrors of its hosts.toml, then its server. Without a
 * file, the registry itself. @throws invalid_argument (a bad file, with file and line), permission_denied
 */
export async function hostsFor(domain: string, options: HostsOptions): Promise<RegistryHost[]> {
  const fallback = defaultHost(domain, options.defaultScheme);
  const dir = findHostDir(options.hostsDirs ?? [], domain);
  if (dir === undefined) return [fallback];
  const file = join(dir, 'hosts.toml');
  if (existsSync(file)) return readHostsFile(file, fallback);
  const tls = await readCertsDir(dir);
  return [tls === undefined ? fallback : { ...fallback, tls, scheme: options.defaultScheme ?? 'https' }];
}

/** The registry that a domain itself names. */
export function defaultHost(domain: string, scheme?: 'https' | 'http'): RegistryHost {
  const authority = domain === 'docker.io' ? 'registry-1.docker.io' : domain;
  return {
    scheme: scheme ?? (speaksPlainByDefault(authority) ? 'http' : 'https'),
    authority,
    path: '/v2',
    capabilities: allCapabilities,
    headers: {},
    tls: defaultTls,
  };
}

function speaksPlainByDefault(authority: string): boolean {
  const url = new URL(`http://${authority}`);
  return reachOf(url.hostname) === 'loopback' && url.port !== '443';
}

/** `host_5000_` before `host:5000` before `_default`, as containerd looks them up. */
function findHostDir(roots: readonly string[], domain: string): string | undefined {
  if (roots.length === 0) return undefined;
  if (domain.includes('/') || domain.startsWith('.'))
    throw permissionDenied(`host ${domain} is no folder name`);
  const names = [domain.replace(/:(\d+)$/, '_$1_'), domain, '_default'];
  return roots.flatMap((root) => names.map((name) => join(root, name))).find((path) => existsSync(path));
}

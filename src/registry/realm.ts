import { permissionDenied } from '../errors/error.ts';
import { reachOf } from './address.ts';
import { printable } from './failure.ts';

/**
 * The token server a challenge names, if secrets may go there: any https host that is not nearer than the registry
 * itself (a public registry cannot point into loopback, private or link-local space), and plain HTTP only for a
 * plain-HTTP registry on the same host name. CVE-2019-10214, CVE-2026-48978, GHSA-28r5, GHSA-vh4v.
 * @throws permission_denied naming the realm
 */
export function checkRealm(realm: string, registryOrigin: string): URL {
  const registry = new URL(registryOrigin);
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  const reason = url === undefined ? 'it is not a URL' : refusal(url, registry);
  if (url !== undefined && reason === undefined) return url;
  throw permissionDenied(`token server ${printable(realm)} named by ${registryOrigin} refused: ${reason}`);
}

function refusal(url: URL, registry: URL): string | undefined {
  if (url.username !== '' || url.password !== '') return 'it carries user information';
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'its scheme is not https';
  if (url.protocol === 'http:') return refusalOfPlain(url, registry);
  return isNearer(url, registry) ? 'it is in a private network and the registry is not' : undefined;
}

function refusalOfPlain(url: URL, registry: URL): string | undefined {
  if (registry.protocol !== 'http:') return 'it is plain HTTP and the registry is not';
  const bothLoopback = reachOf(url.hostname) === 'loopback' && reachOf(registry.hostname) === 'loopback';
  return bothLoopback || url.hostname === registry.hostname ? undefined : 'it is plain HTTP on another host';
}

const distance = { loopback: 0, 'link-local': 1, private: 2, public: 3 } as const;

/** Whether `target` is in a nearer network than `from`, which `from` has no business pointing into. */
export function isNearer(target: URL, from: URL): boolean {
  if (target.hostname === from.hostname) return false;
  const [to, at] = [reachOf(target.hostname), reachOf(from.hostname)];
  return to === 'link-local' || distance[to] < distance[at];
}

/**
 * Whether nobody but `from` itself may send us to `target`, even without secrets: this machine's own services and the
 * link-local ones of its cloud (169.254.169.254). Private addresses are allowed: storage behind a registry has them.
 */
export function isForbidden(target: URL, from: URL): boolean {
  const to = reachOf(target.hostname);
  return to !== 'public' && to !== 'private' && to !== reachOf(from.hostname);
}

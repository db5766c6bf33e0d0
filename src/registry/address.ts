/** How far away an address is, as far as its text tells; a name that is not an IP address counts as public. */
export type Reach = 'loopback' | 'link-local' | 'private' | 'public';

/**
 * Reach of a URL's hostname. The WHATWG parser has already turned decimal, octal, hexadecimal and full-width forms
 * into dotted ones (`new URL('http://2130706433')`), so those tricks end here.
 */
export function reachOf(hostname: string): Reach {
  const name = hostname.toLowerCase().replace(/\.$/, '');
  if (name === 'localhost' || name.endsWith('.localhost')) return 'loopback';
  if (/^\d+\.\d+\.\d+\.\d+$/.test(name)) return reachOf4(name);
  if (name.startsWith('[')) return reachOf6(name.slice(1, -1));
  return 'public';
}

function reachOf4(address: string): Reach {
  const [a = 0, b = 0] = address.split('.').map(Number);
  if (a === 127 || a === 0) return 'loopback';
  if (a === 169 && b === 254) return 'link-local';
  if (a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168)) return 'private';
  return a === 100 && b >= 64 && b < 128 ? 'private' : 'public';
}

function reachOf6(address: string): Reach {
  if (address === '::1' || address === '::') return 'loopback';
  const mapped = /^(?:::ffff:|64:ff9b::)([0-9a-f]+):([0-9a-f]+)$/.exec(address);
  if (mapped) return reachOf4(dotted(mapped[1] ?? '', mapped[2] ?? ''));
  if (/^fe[89ab]/.test(address)) return 'link-local';
  return /^f[cd]/.test(address) ? 'private' : 'public';
}

function dotted(high: string, low: string): string {
  const words = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return words.flatMap((word) => [word >> 8, word & 255]).join('.');
}

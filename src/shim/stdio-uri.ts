import { invalidArgument } from '../errors/error.ts';

/** `file` of `file:///x`; '' for a plain path. */
export const schemeOf = (uri: string): string => /^([a-z][a-z0-9+.-]*):\/\//.exec(uri)?.[1] ?? '';

/** Path of a URI `scheme:///path?…`. @throws invalid_argument (no absolute path) */
export function uriPath(uri: string): string {
  try {
    const { host, pathname } = new URL(uri);
    if (host === '' && pathname.length > 1) return decodeURIComponent(pathname);
  } catch {
    // Said below.
  }
  throw invalidArgument(`stdio ${JSON.stringify(uri)} names no absolute path`);
}

/** What follows the `?`, in order. */
export const uriQuery = (uri: string): [string, string][] => [...new URL(uri).searchParams];

const unitBytes = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** `10m` as bytes; 0 for ''. @throws invalid_argument */
export function parseSize(text: string): number {
  if (text === '') return 0;
  const [, digits = '', unit = ''] = /^(\d{1,12})([kmg]?)$/i.exec(text) ?? [];
  if (digits === '') throw invalidArgument(`size ${JSON.stringify(text.slice(0, 40))} is no number`);
  return Number(digits) * unitBytes[unit.toLowerCase() as keyof typeof unitBytes];
}

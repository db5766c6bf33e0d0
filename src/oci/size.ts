const units = ' kmgtp';

/** Whole bytes of `512m`, `1.5g`, `64 KiB`, `1024`, as docker reads a size of memory: units are powers of 1024. undefined for what is no size. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(text);
  if (match === null) return undefined;
  const bytes = Math.floor(Number(match[1]) * 1024 ** units.indexOf((match[2] || ' ').toLowerCase()));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

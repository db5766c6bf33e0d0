import { invalidArgument } from '../../errors/error.ts';

const powers: Readonly<Record<string, number>> = { b: 0, k: 1, m: 2, g: 3, t: 4, p: 5 };

/** Bytes of `512m`, `1.5g`, `64KiB`, `1024`: units are powers of 1024, as in docker. @throws invalid_argument */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([bkmgtp])(?:i?b)?)?$/i.exec(text.trim());
  const bytes = Number(match?.[1]) * 1024 ** (powers[match?.[2]?.toLowerCase() ?? 'b'] ?? 0);
  if (match === null || !Number.isSafeInteger(Math.round(bytes))) {
    throw invalidArgument(
      `invalid size ${JSON.stringify(text)}, want a number with b, k, m, g or t, e.g. 512m`,
    );
  }
  return Math.round(bytes);
}

/** Thousandths of a CPU of `1.5`. @throws invalid_argument */
export function parseCpus(text: string): number {
  const millis = Math.round(Number(text) * 1000);
  if (!/^\d*\.?\d+$/.test(text.trim()) || millis < 1 || millis > 1_000_000_000) {
    throw invalidArgument(`invalid number of CPUs ${JSON.stringify(text)}, want e.g. 0.5 or 2`);
  }
  return millis;
}

/** A whole number from `min`. `what` names the flag. @throws invalid_argument */
export function parseCount(text: string, what: string, min = 0): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text.trim()) || !Number.isSafeInteger(value) || value < min) {
    throw invalidArgument(`invalid ${what} ${JSON.stringify(text)}, want a whole number from ${min}`);
  }
  return value;
}

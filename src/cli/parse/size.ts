import { invalidArgument } from '../../errors/error.ts';
import { parseBytes } from '../../oci/size.ts';

/** Bytes of `512m`, `1.5g`, `64KiB`, `1024`: units are powers of 1024, as in docker. @throws invalid_argument */
export function parseSize(text: string): number {
  const bytes = parseBytes(text.trim());
  if (bytes === undefined) {
    throw invalidArgument(
      `invalid size ${JSON.stringify(text)}, want a number with b, k, m, g or t, e.g. 512m`,
    );
  }
  return bytes;
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

import type { TransferProgress } from '../client/index.ts';
import { humanSize, printable } from './output/text.ts';

/** `layer-sha256:abc…` or `sha256:abc…` as 12 digits; other names as they are. */
export function shortName(name: string): string {
  const match = /^(?:([a-z]+)-)?sha(?:256|512):([0-9a-f]{12})[0-9a-f]*/.exec(name);
  if (match === null) return printable(name);
  return match[1] === undefined || match[1] === 'layer' ? (match[2] ?? '') : `${match[1]} ${match[2]}`;
}

const nameWidth = 21;
const maxBarWidth = 30;
/** A bar with fewer cells tells nothing. */
const minBarWidth = 5;

/** One object of a pull as a line of a terminal: name, bar, bytes, and what is done to it. The bar gives way first. */
export function progressLine(
  { name, event, doneBytes, totalBytes }: TransferProgress,
  columns: number,
  [full, empty]: readonly [string, string] = ['#', '-'],
): string {
  const words = printable(event);
  if (totalBytes === 0) return [shortName(name), words].filter((part) => part !== '').join(' ');
  const head = shortName(name).padEnd(nameWidth);
  const tail = `${humanSize(Math.min(doneBytes, totalBytes))}/${humanSize(totalBytes)} ${words}`;
  // The last column stays free: clearing what is right of it would take its character.
  const width = Math.min(maxBarWidth, columns - head.length - tail.length - 3);
  if (width < minBarWidth) return `${head} ${tail}`;
  const filled = Math.round(Math.min(1, doneBytes / totalBytes) * width);
  return `${head} ${full.repeat(filled)}${empty.repeat(width - filled)} ${tail}`;
}

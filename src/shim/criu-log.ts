import { copyFileSync, readFileSync } from 'node:fs';
import { messageOf, unknown } from '../errors/error.ts';

/**
 * A runtime's failure with what only criu's log tells. The log is kept as `kept`.
 * @param version criu's
 */
export function withCriuLog(error: unknown, log: string, kept: string, version: string): unknown {
  try {
    copyFileSync(log, kept);
  } catch {
    return error;
  }
  const [reason = ''] = errorsIn(readFileSync(kept, 'utf8'));
  const words = reason === '' ? '' : ` (criu ${version}: ${reason})`;
  return unknown(`${firstLine(messageOf(error))} path= ${kept}${words}`, error);
}

/** criu starts with one about its own limits where it may not raise them; that does it no harm. */
const errorsIn = (text: string): string[] =>
  (text.match(/(?<=^\([\d.]+\)\s+(?:\d+: )?Error \([^)]*\): ).*$/gm) ?? []).filter(
    (line) => !line.startsWith('rlimit'),
  );

const firstLine = (text: string): string => text.split('\n')[0] ?? '';

import { constants } from 'node:os';
import { invalidArgument } from '../errors/error.ts';

/** A signal as a label carries it: `SIGTERM`, `SIGRTMIN+3` or a number. @throws invalid_argument */
export function checkedSignal(text: string): string {
  const name = text.toUpperCase().replace(/^(?=[A-Z])(?!SIG)/, 'SIG');
  if (/^\d{1,2}$/.test(text) && Number(text) >= 1 && Number(text) <= 64) return text;
  if (Object.hasOwn(constants.signals, name) || /^SIGRTM(?:IN|AX)(?:[+-]\d{1,2})?$/.test(name)) return name;
  throw invalidArgument(`unknown signal ${JSON.stringify(text.slice(0, 30))}`);
}

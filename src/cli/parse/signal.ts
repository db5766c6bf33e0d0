import { constants } from 'node:os';
import { invalidArgument } from '../../errors/error.ts';

const firstRealTime = 34;
const lastRealTime = 64;

/** The number of `KILL`, `SIGKILL`, `9`, `RTMIN+3`. @throws invalid_argument */
export function parseSignal(text: string): number {
  const name = text.trim().toUpperCase().replace(/^SIG/, '');
  const number = /^\d+$/.test(name) ? Number(name) : (named(name) ?? realTime(name));
  if (number === undefined || number < 1 || number > lastRealTime) {
    throw invalidArgument(`unknown signal ${JSON.stringify(text)}, want a name such as TERM or a number`);
  }
  return number;
}

const named = (name: string): number | undefined =>
  new Map<string, number>(Object.entries(constants.signals)).get(`SIG${name}`);

function realTime(name: string): number | undefined {
  const match = /^RTM(IN(?:\+(\d+))?|AX(?:-(\d+))?)$/.exec(name);
  if (match === null) return undefined;
  const number = match[1]?.startsWith('IN')
    ? firstRealTime + Number(match[2] ?? 0)
    : lastRealTime - Number(match[3] ?? 0);
  return number >= firstRealTime && number <= lastRealTime ? number : undefined;
}

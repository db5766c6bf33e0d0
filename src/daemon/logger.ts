import { type Logger, pino } from 'pino';
import type { Config } from './config/config.ts';

/** Fields that may carry secrets are never written, wherever they stand. */
const redact = [
  'password',
  'token',
  'secret',
  'authorization',
  '*.password',
  '*.token',
  '*.secret',
  '*.authorization',
];

/** Logs to stderr, synchronously: a line is out before the daemon can die. Text is for people, JSON for machines. */
export function makeLogger(config: Pick<Config, 'logLevel' | 'logFormat'>): Logger {
  const options = {
    level: config.logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact,
    messageKey: 'msg',
  };
  return config.logFormat === 'json'
    ? pino(
        { ...options, formatters: { level: (level) => ({ level }) } },
        pino.destination({ dest: 2, sync: true }),
      )
    : pino(options, textDestination());
}

function textDestination(): { write(line: string): void } {
  const out = pino.destination({ dest: 2, sync: true });
  return { write: (line) => void out.write(textLine(line)) };
}

/** `2026-01-02T03:04:05.678Z INFO  message key=value …` */
function textLine(json: string): string {
  const { time, level, msg, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const name = (pino.levels.labels[Number(level)] ?? 'info').toUpperCase().padEnd(5);
  const rest = Object.entries(fields).map(([k, v]) => ` ${k}=${valueText(v)}`);
  return `${time} ${name} ${msg ?? ''}${rest.join('')}\n`;
}

function valueText(value: unknown): string {
  if (typeof value === 'string') return /^[\w./:@+-]+$/.test(value) ? value : JSON.stringify(value);
  if (typeof value === 'object' && value !== null && 'message' in value) return JSON.stringify(value.message);
  return JSON.stringify(value) ?? 'undefined';
}

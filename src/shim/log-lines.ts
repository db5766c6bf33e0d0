import type { LogFormat } from './log-request.ts';

/** Longest piece of a line in a log file (kubelet reads lines of up to 16 KiB, as containerd writes them). */
export const maxLineBytes = 16 * 1024;

/** Text for the log, and how many bytes of the stream it stands for. */
export interface Formatted {
  readonly text: string;
  readonly consumed: number;
}

/** latin1: one character a byte, so that bytes go through unchanged. */
export const encodings = { cri: 'latin1', json: 'utf8', raw: 'latin1' } as const;

/**
 * Turns bytes of a stream into lines of a log. What follows the last newline stays unconsumed while it may go on, up
 * to 16 KiB; at the end of the stream it is a line, too. `time`: RFC 3339 with nanoseconds.
 */
export type Formatter = (
  bytes: Buffer,
  stream: 'stdout' | 'stderr',
  time: string,
  atEnd: boolean,
) => Formatted;

/** Makes one log line of a piece of the stream (no newline in it); `complete` when the line ends with it. */
type Line = (piece: string, complete: boolean) => string;

const newline = 10;

/** Kubernetes' format: `<time> <stream> F|P <text>`, P when the line goes on in the next one. Bytes go through unchanged. */
const criLines: Formatter = (bytes, stream, time, atEnd) => {
  const full = `${time} ${stream} F `;
  const partial = `${time} ${stream} P `;
  const whole = bytes.lastIndexOf(newline) + 1;
  if (whole > 0 && !hasLongLine(bytes, whole)) {
    // By far the most common: nothing but lines that fit.
    const body = bytes.toString('latin1', 0, whole - 1).replaceAll('\n', `\n${full}`);
    const rest = cutLines(bytes.subarray(whole), atEnd, criLine);
    return { text: `${full}${body}\n${rest.text}`, consumed: whole + rest.consumed };
  }
  return cutLines(bytes, atEnd, criLine);

  function criLine(piece: string, complete: boolean): string {
    return `${complete ? full : partial}${piece}\n`;
  }
};

/** Docker's format: `{"log":"text\n","stream":"stdout","time":"…"}`, no newline in a piece that goes on. */
const jsonLines: Formatter = (bytes, stream, time, atEnd) => {
  const close = `,"stream":"${stream}","time":"${time}"}\n`;
  const jsonLine = (text: string, complete: boolean): string =>
    `{"log":${JSON.stringify(complete ? `${text}\n` : text)}${close}`;
  const whole = bytes.lastIndexOf(newline) + 1;
  if (whole === 0 || hasLongLine(bytes, whole))
    return cutLines(bytes, atEnd, (piece, complete) =>
      jsonLine(Buffer.from(piece, 'latin1').toString(), complete),
    );
  let text = '';
  for (const line of bytes.toString('utf8', 0, whole - 1).split('\n')) text += jsonLine(line, true);
  const rest = jsonLines(bytes.subarray(whole), stream, time, atEnd);
  return { text: text + rest.text, consumed: whole + rest.consumed };
};

const rawBytes: Formatter = (bytes) => ({ text: bytes.toString('latin1'), consumed: bytes.length });

export const formatters: Readonly<Record<LogFormat, Formatter>> = {
  cri: criLines,
  json: jsonLines,
  raw: rawBytes,
};

/** Whether a line within the first `end` bytes is longer than a log line may be. */
function hasLongLine(bytes: Buffer, end: number): boolean {
  for (let at = 0; at < end; ) {
    const next = bytes.lastIndexOf(newline, Math.min(at + maxLineBytes, end - 1)) + 1;
    if (next <= at) return true;
    at = next;
  }
  return false;
}

function cutLines(bytes: Buffer, atEnd: boolean, line: Line): Formatted {
  let text = '';
  let at = 0;
  for (;;) {
    const next = bytes.indexOf(newline, at);
    const end = next === -1 ? bytes.length : next;
    while (end - at > maxLineBytes || (next === -1 && end - at === maxLineBytes)) {
      const cut = at + wholeCharacters(bytes, at, at + maxLineBytes);
      text += line(bytes.toString('latin1', at, cut), false);
      at = cut;
    }
    if (next === -1) break;
    text += line(bytes.toString('latin1', at, next), true);
    at = next + 1;
  }
  if (!atEnd || at === bytes.length) return { text, consumed: at };
  return { text: text + line(bytes.toString('latin1', at), true), consumed: bytes.length };
}

/** Length of a piece that does not end within a UTF-8 character; all of it where the bytes are none. */
function wholeCharacters(bytes: Buffer, start: number, end: number): number {
  const isContinuation = (at: number): boolean => ((bytes[at] ?? 0) & 0xc0) === 0x80;
  let cut = end;
  while (cut > end - 4 && cut < bytes.length && isContinuation(cut)) cut--;
  return cut > end - 4 ? cut - start : end - start;
}

const startMs = Date.now() - performance.now();

/** Now, as RFC 3339 with nanoseconds in UTC. */
export function nowNano(): string {
  const ms = startMs + performance.now();
  const whole = Math.floor(ms);
  const nanos = Math.floor((ms - whole) * 1e6);
  return `${new Date(whole).toISOString().slice(0, -1)}${String(nanos).padStart(6, '0')}Z`;
}

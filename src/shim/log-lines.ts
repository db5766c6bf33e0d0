import type { LineBuffer } from './line-buffer.ts';
import type { LogFormat } from './log-request.ts';

/** Longest piece of a line in a log file (kubelet reads lines of up to 16 KiB, as containerd writes them). */
export const maxLineBytes = 16 * 1024;

/**
 * Appends lines of a stream to `out`. What follows the last newline stays unconsumed while it may go on, up to 16 KiB; at
 * the end of the stream it is a line, too. `time`: RFC 3339 with nanoseconds. @returns how many of the bytes `out` has now
 */
export type Formatter = (
  bytes: Buffer,
  stream: 'stdout' | 'stderr',
  time: string,
  atEnd: boolean,
  out: LineBuffer,
) => number;

/** Appends one log line for the bytes from `start` to `end` (no newline in them); `complete` when the line ends with them. */
type Line = (start: number, end: number, complete: boolean) => void;

const newline = 10;

/** Kubernetes' format: `<time> <stream> F|P <text>`, P when the line goes on in the next one. Bytes go through unchanged. */
const criLines: Formatter = (bytes, stream, time, atEnd, out) => {
  const full = `${time} ${stream} F `;
  const partial = `${time} ${stream} P `;
  const whole = wholeLines(bytes);
  if (whole > 0)
    out.text(`${full}${bytes.toString('latin1', 0, whole - 1).replaceAll('\n', `\n${full}`)}\n`, 'latin1');
  let close = '';
  const consumed = cutLines(bytes, whole, atEnd, (start, end, complete) => {
    out.text(close + (complete ? full : partial), 'latin1');
    out.copy(bytes, start, end);
    close = '\n';
  });
  out.text(close, 'latin1');
  return consumed;
};

/** Docker's format: `{"log":"text\n","stream":"stdout","time":"…"}`, no newline in a piece that goes on. */
const jsonLines: Formatter = (bytes, stream, time, atEnd, out) => {
  const close = `,"stream":"${stream}","time":"${time}"}\n`;
  let text = '';
  const add = (piece: string, complete: boolean): void => {
    text += `{"log":${JSON.stringify(complete ? `${piece}\n` : piece)}${close}`;
  };
  const whole = wholeLines(bytes);
  if (whole > 0) for (const line of bytes.toString('utf8', 0, whole - 1).split('\n')) add(line, true);
  const consumed = cutLines(bytes, whole, atEnd, (start, end, complete) =>
    add(bytes.toString('utf8', start, end), complete),
  );
  out.text(text, 'utf8');
  return consumed;
};

const rawBytes: Formatter = (bytes, _stream, _time, _atEnd, out) => {
  out.copy(bytes, 0, bytes.length);
  return bytes.length;
};

export const formatters: Readonly<Record<LogFormat, Formatter>> = {
  cri: criLines,
  json: jsonLines,
  raw: rawBytes,
};

/**
 * Where the last line ends, if nothing before it needs to be cut: by far the most common, and faster told all at once
 * than line by line; 0 otherwise.
 */
function wholeLines(bytes: Buffer): number {
  if (bytes.subarray(0, maxLineBytes + 1).indexOf(newline) === -1) return 0;
  const end = bytes.lastIndexOf(newline) + 1;
  for (let at = 0; at < end; ) {
    const next = bytes.lastIndexOf(newline, Math.min(at + maxLineBytes, end - 1)) + 1;
    if (next <= at) return 0;
    at = next;
  }
  return end;
}

/** Lines from `at` on, no longer than a log line may be. @returns where what is not told yet begins */
function cutLines(bytes: Buffer, from: number, atEnd: boolean, line: Line): number {
  let at = from;
  for (;;) {
    const next = bytes.indexOf(newline, at);
    const end = next === -1 ? bytes.length : next;
    while (end - at > maxLineBytes || (next === -1 && end - at === maxLineBytes)) {
      const cut = at + wholeCharacters(bytes, at, at + maxLineBytes);
      line(at, cut, false);
      at = cut;
    }
    if (next === -1) break;
    line(at, next, true);
    at = next + 1;
  }
  if (!atEnd || at === bytes.length) return at;
  line(at, bytes.length, true);
  return bytes.length;
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

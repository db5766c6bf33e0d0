/** Longest piece of a line in a log file (kubelet reads lines of up to 16 KiB, as containerd writes them). */
export const maxLineBytes = 16 * 1024;

/**
 * Turns the bytes of one stream into lines of the CRI log format: `<time> <stream> F|P <text>`, P when the line goes
 * on in the next one. Bytes go through unchanged (they travel as latin1, one character a byte).
 */
export class CriLines {
  readonly #stream: 'stdout' | 'stderr';
  #rest = '';

  constructor(stream: 'stdout' | 'stderr') {
    this.#stream = stream;
  }

  /** The lines that `chunk` completes; '' when it completes none. `time`: RFC 3339 with nanoseconds. */
  push(chunk: Buffer, time: string): string {
    const lines = (this.#rest + chunk.toString('latin1')).split('\n');
    this.#rest = lines.pop() ?? '';
    let out = '';
    for (const line of lines) out += this.#cut(line, time, true);
    if (this.#rest.length < maxLineBytes) return out;
    const whole = this.#rest.length - (this.#rest.length % maxLineBytes);
    out += this.#cut(this.#rest.slice(0, whole), time, false);
    this.#rest = this.#rest.slice(whole);
    return out;
  }

  /** What is left without a newline at the end of the stream, as a full line. */
  end(time: string): string {
    const rest = this.#rest;
    this.#rest = '';
    return rest === '' ? '' : this.#cut(rest, time, true);
  }

  #cut(line: string, time: string, complete: boolean): string {
    const full = `${time} ${this.#stream} F `;
    if (line.length <= maxLineBytes && complete) return `${full}${line}\n`;
    let out = '';
    for (let at = 0; at < line.length; at += maxLineBytes) {
      const last = complete && at + maxLineBytes >= line.length;
      out += `${last ? full : `${time} ${this.#stream} P `}${line.slice(at, at + maxLineBytes)}\n`;
    }
    return out;
  }
}

const startMs = Date.now() - performance.now();

/** Now, as RFC 3339 with nanoseconds in UTC. */
export function nowNano(): string {
  const ms = startMs + performance.now();
  const whole = Math.floor(ms);
  const nanos = Math.floor((ms - whole) * 1e6);
  return `${new Date(whole).toISOString().slice(0, -1)}${String(nanos).padStart(6, '0')}Z`;
}

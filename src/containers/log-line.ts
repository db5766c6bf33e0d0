import type { LogEntry, LogTime } from './containers.ts';

const newline = 0x0a;
const linePattern =
  /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) (stdout|stderr) ([FP])(?::\S*)? /;
/** Longest header: a time with nine digits and an offset, a stream, a tag. */
const maxHeaderBytes = 80;

/**
 * One line of a log as the CRI keeps it, `<RFC3339Nano> stdout|stderr F|P <bytes>`, without its newline.
 * Undefined when it is none (the tail of a line whose head was cut off).
 */
export function parseLogLine(line: Uint8Array): LogEntry | undefined {
  const head = Buffer.from(line.buffer, line.byteOffset, Math.min(line.byteLength, maxHeaderBytes)).toString(
    'latin1',
  );
  const [header, base, fraction = '', zone, stream, tag] = linePattern.exec(head) ?? [];
  if (header === undefined) return undefined;
  const milliseconds = Date.parse(`${base}${zone}`);
  if (Number.isNaN(milliseconds)) return undefined;
  return {
    time: { seconds: BigInt(milliseconds / 1000), nanos: Number(fraction.padEnd(9, '0')) },
    stream: stream === 'stderr' ? 'stderr' : 'stdout',
    data: line.subarray(header.length),
    partial: tag === 'P',
  };
}

/** Is `a` before `b`? */
export const isBefore = (a: LogTime, b: LogTime): boolean =>
  a.seconds < b.seconds || (a.seconds === b.seconds && a.nanos < b.nanos);

/** Cuts a growing file into lines; what has no newline yet waits for the next chunk. */
export class LineSplitter {
  #rest = Buffer.alloc(0);
  readonly #maxBytes: number;

  /** @param maxBytes a longer line is let go in pieces, so a broken file cannot fill the memory */
  constructor(maxBytes = 1024 * 1024) {
    this.#maxBytes = maxBytes;
  }

  *push(chunk: Uint8Array): Generator<Buffer> {
    const bytes = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
      yield bytes.subarray(start, end);
      start = end + 1;
    }
    this.#rest = bytes.subarray(start);
    if (this.#rest.length > this.#maxBytes) this.#rest = Buffer.alloc(0);
  }
}

import type { FileHandle } from 'node:fs/promises';
import { parseLogLine } from './log-line.ts';

const chunkBytes = 64 * 1024;
const newline = 0x0a;
const headerBytes = 80;

/**
 * Offset at which the last `lines` lines of the first `sizeBytes` of a log begin, read from the end backwards. Entries
 * that go on in the next one (`P`) count as one line with it.
 */
export async function tailOffset(file: FileHandle, sizeBytes: number, lines: number): Promise<number> {
  let end = sizeBytes;
  let ended = 0;
  for await (const start of lineStartsBackwards(file, sizeBytes)) {
    if (start < end && (await endsLine(file, start)) && ++ended > lines) return end;
    end = start;
  }
  return 0;
}

async function endsLine(file: FileHandle, start: number): Promise<boolean> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, start);
  return parseLogLine(buffer.subarray(0, bytesRead))?.partial !== true;
}

/** Offsets of lines, the last one first. */
async function* lineStartsBackwards(file: FileHandle, sizeBytes: number): AsyncGenerator<number> {
  for (let end = sizeBytes; end > 0; ) {
    const length = Math.min(chunkBytes, end);
    const from = end - length;
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, from);
    for (
      let at = buffer.lastIndexOf(newline);
      at >= 0;
      at = at === 0 ? -1 : buffer.lastIndexOf(newline, at - 1)
    )
      if (from + at + 1 < sizeBytes) yield from + at + 1;
    end = from;
  }
  if (sizeBytes > 0) yield 0;
}

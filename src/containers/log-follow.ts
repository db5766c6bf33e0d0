import { watch } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { LogEntry, WantedLogs } from './containers.ts';
import { isBefore, LineSplitter, parseLogLine } from './log-line.ts';
import { openLog } from './log-paths.ts';
import { tailOffset } from './log-tail.ts';

const chunkBytes = 64 * 1024;
const pollMs = 250;

/** A log file and who may still write to it. */
export interface LogSource {
  readonly path: string;
  /** Will more be written? Asked each time the end of the file is reached. */
  readonly isAlive: () => Promise<boolean>;
  readonly signal: AbortSignal;
}

/** Entries of a log file, oldest first; with `follow` until nothing more can come. @throws failed_precondition (not a file) */
export async function* readLog(
  source: LogSource,
  wanted: Omit<WantedLogs, 'containerId'>,
): AsyncGenerator<LogEntry> {
  using changes = watchDirectory(dirname(source.path));
  const here = await openLog(source.path);
  const file = here ?? (await waitForLog(source, wanted.follow, changes));
  if (file === undefined) return;
  await using _ = file;
  // All of a log that was waited for is new.
  const start = here === undefined ? 0 : await startOf(file, wanted.tail);
  for await (const entry of entriesFrom(file, start, source, wanted.follow, changes))
    if (wanted.since === undefined || !isBefore(entry.time, wanted.since)) yield entry;
}

async function startOf(file: FileHandle, tail: number): Promise<number> {
  const { size } = await file.stat();
  if (tail === 0) return 0;
  return tail < 0 ? size : await tailOffset(file, size, tail);
}

async function waitForLog(
  source: LogSource,
  follow: boolean,
  changes: Changes,
): Promise<FileHandle | undefined> {
  for (;;) {
    const alive = follow && !source.signal.aborted && (await source.isAlive());
    const file = await openLog(source.path);
    if (file !== undefined || !alive) return file;
    await changes.next(source.signal);
  }
}

/** A process that has exited may have left bytes in the pipe: alive is asked before the last read, not after. */
async function* entriesFrom(
  file: FileHandle,
  start: number,
  source: LogSource,
  follow: boolean,
  changes: Changes,
): AsyncGenerator<LogEntry> {
  const splitter = new LineSplitter();
  let offset = start;
  for (let quiet = 0; !source.signal.aborted; ) {
    const alive = follow && (await source.isAlive());
    const before = offset;
    for (let chunk = await readAt(file, offset); chunk.length > 0; chunk = await readAt(file, offset)) {
      offset += chunk.length;
      for (const line of splitter.push(chunk)) yield* parsed(line);
      if (source.signal.aborted) return;
    }
    quiet = alive || offset > before ? 0 : quiet + 1;
    if (!follow || quiet >= 2) return;
    await changes.next(source.signal);
  }
}

function* parsed(line: Uint8Array): Generator<LogEntry> {
  const entry = parseLogLine(line);
  if (entry !== undefined) yield entry;
}

async function readAt(file: FileHandle, offset: number): Promise<Uint8Array> {
  const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, offset);
  return buffer.subarray(0, bytesRead);
}

interface Changes extends Disposable {
  /** Resolves at a change, after 250 ms, or when `signal` fires. */
  next(signal: AbortSignal): Promise<void>;
}

/** inotify where it can be had; the poll alone where it cannot (no watches left, no directory). */
function watchDirectory(path: string): Changes {
  let wake = () => {};
  const watcher = tryWatch(path, () => wake());
  return {
    next: (signal) =>
      new Promise<void>((resolve) => {
        if (signal.aborted) return resolve();
        const done = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', done);
          resolve();
        };
        const timer = setTimeout(done, pollMs);
        signal.addEventListener('abort', done, { once: true });
        wake = done;
      }),
    [Symbol.dispose]: () => watcher?.close(),
  };
}

function tryWatch(path: string, onChange: () => void): ReturnType<typeof watch> | undefined {
  try {
    const watcher = watch(path, { persistent: false }, onChange);
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}

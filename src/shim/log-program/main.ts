import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { messageOf } from '../../errors/error.ts';
import { LineBuffer } from '../line-buffer.ts';
import { LogFile } from '../log-file.ts';
import { formatters, nowNano } from '../log-lines.ts';
import { type LogTarget, parseLogTarget } from '../log-request.ts';

// Writes the log files that shims of others cannot write: they start it as containerd's `binary://` loggers are started,
// with stdout in descriptor 3, stderr in 4, and 5 to be closed when it reads. Ends when both streams have ended.

const streams = [
  ['stdout', 3],
  ['stderr', 4],
] as const;

/** One chunk at a time is written. */
const lines = new LineBuffer();

/** @param uri `cri:///path` or `json:///path`, as berth-shim takes them */
function write(uri: string): void {
  const target = parseLogTarget(uri);
  if (target === undefined) throw new Error(`${uri} is no log`);
  const file = new LogFile(target);
  for (const [name, fd] of streams) follow(file, target, name, fd);
  closeSync(5);
}

function follow(file: LogFile, { format }: LogTarget, name: 'stdout' | 'stderr', fd: number): void {
  let pending: Buffer = Buffer.alloc(0);
  const put = (chunk: Buffer, atEnd: boolean): void => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    lines.clear();
    const consumed = formatters[format](pending, name, nowNano(), atEnd, lines);
    pending = pending.subarray(consumed);
    if (consumed > 0) file.append(lines.bytes);
    if (file.isLong) file.rotate();
  };
  const socket = new Socket({ fd, readable: true, writable: false });
  socket.on('data', (chunk: Buffer) => put(chunk, false));
  socket.once('end', () => put(Buffer.alloc(0), true));
  socket.on('error', () => {});
}

// Sent when the container is gone: what it wrote last is still to be read, and then the streams end.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
try {
  write(process.argv[3] ?? '');
} catch (error) {
  process.stderr.write(`berth-log: ${messageOf(error)}\n`);
  process.exitCode = 1;
}

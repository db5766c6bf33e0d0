import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Log } from '../../async/context.ts';
import { codeOf } from '../../errors/error.ts';
import { makeFifo, openFifo } from '../../sys/fifo.ts';
import { printable } from './run-program.ts';

const maxLineBytes = 16 * 1024;

/**
 * Reads what a shim logs: shims of others write to the FIFO `log` in their bundle, and would stop when nobody read it.
 * Each line becomes one of the daemon's, at level debug. Disposal closes it.
 */
export function readShimLog(bundle: string, fields: object, log: Log): Disposable {
  const path = join(bundle, 'log');
  makeOnce(path);
  const socket = new Socket({ fd: openFifo(path, 'both').release(), readable: true, writable: false });
  let rest = '';
  socket.on('error', (error) =>
    log.debug({ ...fields, error: error.message }, 'log of a shim cannot be read'),
  );
  socket.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = (lines.pop() ?? '').slice(-maxLineBytes);
    for (const line of lines) log.debug({ ...fields, line: printable(Buffer.from(line), 2000) }, 'shim says');
  });
  socket.unref();
  return { [Symbol.dispose]: () => void socket.destroy() };
}

function makeOnce(path: string): void {
  try {
    makeFifo(path);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

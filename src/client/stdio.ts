import type { StdioPaths } from './container-options.ts';
import { type Fifo, readFifo, writeFifo } from './fifo.ts';

/** The client's ends of a process's standard streams. Absent ones were not asked for. Disposing closes them all. */
export interface Stdio extends Disposable {
  readonly stdin?: WritableStream<Uint8Array>;
  readonly stdout?: ReadableStream<Uint8Array>;
  readonly stderr?: ReadableStream<Uint8Array>;
}

/** Opens FIFOs; what was opened is closed again when one of them fails. */
export function openStdio(paths: StdioPaths): Stdio {
  const opened: Fifo<unknown>[] = [];
  const keep = <S>(path: string, open: (path: string) => Fifo<S>): S | undefined => {
    if (path === '') return undefined;
    const fifo = open(path);
    opened.push(fifo);
    return fifo.stream;
  };
  const close = () => {
    for (const fifo of opened) fifo.close();
  };
  try {
    const stdout = keep(paths.stdout, readFifo);
    const stderr = keep(paths.stderr, readFifo);
    const stdin = keep(paths.stdin, writeFifo);
    return {
      ...(stdin === undefined ? {} : { stdin }),
      ...(stdout === undefined ? {} : { stdout }),
      ...(stderr === undefined ? {} : { stderr }),
      [Symbol.dispose]: close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

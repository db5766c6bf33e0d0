import { createHash, type Hash } from 'node:crypto';
import { readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import type { HashAnswer, HashRequest } from './hash-messages.ts';

/** The thread in which growing files are hashed, behind whoever writes them (see hash-thread.ts). */

interface State {
  readonly hash: Hash;
  hashed: number;
}

const states = new Map<number, State>();
const buffer = Buffer.allocUnsafeSlow(256 * 1024);

parentPort?.on('message', (request: HashRequest) => {
  if ('drop' in request) states.delete(request.drop);
  else parentPort?.postMessage(answer(request));
});

function answer(request: Exclude<HashRequest, { drop: number }>): HashAnswer {
  try {
    return { id: request.id, hex: digestOf(request) };
  } catch (error) {
    return { id: request.id, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Goes on where the last request about this file ended; a thread that is new to it starts from the front. */
function digestOf({ file, fd, size, algorithm }: Exclude<HashRequest, { drop: number }>): string {
  const state = states.get(file) ?? { hash: createHash(algorithm), hashed: 0 };
  states.set(file, state);
  while (state.hashed < size) {
    const wanted = Math.min(buffer.length, size - state.hashed);
    const bytesRead = readSync(fd, buffer, 0, wanted, state.hashed);
    if (bytesRead === 0) throw new Error(`file ends at ${state.hashed} bytes, expected ${size}`);
    state.hash.update(buffer.subarray(0, bytesRead));
    state.hashed += bytesRead;
  }
  return state.hash.copy().digest('hex');
}

import { parentPort } from 'node:worker_threads';
import { messageOf } from '../errors/error.ts';
import { LogPump } from './log-pump.ts';
import type { LogAnswer, LogOrder, LogRequest } from './log-request.ts';

/**
 * The thread that writes log files: a slow disk holds up logs, not the shim. Everything it does is synchronous, and
 * everything it must know to go on is on disk.
 */

const pumps = new Map<string, LogPump>();
const answer = (message: LogAnswer): void => parentPort?.postMessage(message);

function open(request: LogRequest): void {
  const { key } = request;
  pumps.set(key, new LogPump(request, () => answer({ done: 'drained', key })));
}

function close(key: string): void {
  pumps.get(key)?.[Symbol.dispose]();
  pumps.delete(key);
}

function attempt(done: LogAnswer['done'], key: string, step: () => void): void {
  try {
    step();
    answer({ done, key });
  } catch (error) {
    answer({ done, key, error: messageOf(error) });
  }
}

parentPort?.on('message', (order: LogOrder) => {
  if (order.do === 'open') attempt('opened', order.request.key, () => open(order.request));
  else if (order.do === 'reopen') attempt('reopened', order.key, () => pumps.get(order.key)?.reopen());
  else close(order.key);
});

import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Log } from '../async/context.ts';
import { invalidArgument, messageOf, notFound } from '../errors/error.ts';
import type { LogAnswer, LogOrder, LogRequest } from './log-request.ts';

/** Beside this module, in whatever form this one is. */
const script = new URL(`./log-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
/** It holds little but what it is writing. */
const resourceLimits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2 };

interface OpenLog {
  readonly request: LogRequest;
  readonly opened: PromiseWithResolvers<void>;
  readonly drained: PromiseWithResolvers<void>;
  readonly reopened: PromiseWithResolvers<void>[];
}

/** What the shim knows of log files; a worker thread, started with the first of them, writes them. */
export class LogWriter {
  readonly #log: Log;
  readonly #logs = new Map<string, OpenLog>();
  #worker: Worker | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Begins, or goes on where an earlier shim was. @throws invalid_argument */
  open(request: LogRequest): Promise<void> {
    const opened = Promise.withResolvers<void>();
    const drained = Promise.withResolvers<void>();
    this.#logs.set(request.key, { request, opened, drained, reopened: [] });
    this.#tell({ do: 'open', request });
    return opened.promise;
  }

  /** Settles when all that came through the streams of a log is in its file, or when it is closed. */
  drained(key: string): Promise<void> {
    return this.#logs.get(key)?.drained.promise ?? Promise.resolve();
  }

  /** The file was moved away: from now on lines go to a new one at its path. @throws not_found, invalid_argument */
  reopen(key: string): Promise<void> {
    const log = this.#logs.get(key);
    if (log === undefined) throw notFound(`log of ${key}`);
    const reopened = Promise.withResolvers<void>();
    log.reopened.push(reopened);
    this.#tell({ do: 'reopen', key });
    return reopened.promise;
  }

  /** Writes what has been taken so far and lets go. Idempotent. */
  close(key: string): void {
    if (!this.#logs.has(key)) return;
    this.#tell({ do: 'close', key });
    this.#logs.get(key)?.drained.resolve();
    this.#logs.delete(key);
  }

  #tell(order: LogOrder): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage(order);
  }

  #start(): Worker {
    const worker = new Worker(script, { execArgv: [], resourceLimits });
    worker.on('message', (answer: LogAnswer) => this.#answered(answer));
    worker.on('error', (error) => this.#log.error({ error: messageOf(error) }, 'the log worker crashed'));
    worker.on('exit', () => this.#replace(worker));
    worker.unref();
    return worker;
  }

  /** Everything it must know is on disk, so a new one loses nothing. */
  #replace(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const { request } of this.#logs.values()) this.#tell({ do: 'open', request });
  }

  #answered({ done, key, error }: LogAnswer): void {
    const log = this.#logs.get(key);
    if (log === undefined) return;
    const promise = done === 'reopened' ? log.reopened.shift() : log[done];
    if (error === undefined) promise?.resolve();
    else promise?.reject(invalidArgument(error));
  }
}

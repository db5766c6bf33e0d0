import { MessageChannel, Worker } from 'node:worker_threads';
import { aborted, internal } from '../errors/error.ts';
import { returnFreeMemory } from '../sys/free-memory.ts';
import { type JobMessage, type ResultMessage, sendStream, unpackError } from './worker-messages.ts';

export interface WorkerPoolOptions {
  readonly script: URL;
  /** Most jobs at a time, those that wait not counted. */
  readonly size: number;
  /** A worker without a job ends after this long. */
  readonly idleMs: number;
}

interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  readonly stream?: AsyncIterable<Uint8Array> | undefined;
  /** Waits for others most of the time, so it takes nobody's turn; the caller limits how many do. Default false. */
  readonly waits?: boolean;
}

/** A layer of millions of members fails its own thread, not the daemon. */
const resourceLimits = { maxOldGenerationSizeMb: 1024, maxYoungGenerationSizeMb: 16 };
/** How long a cancelled worker may take to stop by itself before its thread is ended. */
const cancelGraceMs = 700;

/**
 * Worker threads that do one job at a time, started when first needed. They do not keep the process alive; a worker
 * that crashes fails its job only.
 */
export class WorkerPool<Job, Outcome> {
  readonly #options: WorkerPoolOptions;
  readonly #idle: { worker: Worker; timer: NodeJS.Timeout }[] = [];
  readonly #waiting: (() => void)[] = [];
  /** Crashed or ended: never given a job again. */
  readonly #dead = new WeakSet<Worker>();
  #running = 0;
  /** Jobs under way, those that wait too. */
  #jobs = 0;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  /** Waits for a free worker and runs `job` there. @throws aborted, internal (worker died), what the job throws */
  async run(job: Job, options: RunOptions = {}): Promise<Outcome> {
    using _turn = options.waits === true ? undefined : await this.#acquire(options.signal);
    let worker: Worker | undefined;
    this.#jobs++;
    try {
      refuseAborted(options.signal);
      worker = this.#take();
      const result = await this.#dispatch(worker, job, options);
      this.#park(worker);
      return result;
    } catch (error) {
      if (worker !== undefined) this.#park(worker);
      throw options.signal?.aborted ? cancelled(options.signal) : error;
    } finally {
      this.#jobs--;
    }
  }

  async #acquire(signal: AbortSignal | undefined): Promise<Disposable> {
    refuseAborted(signal);
    if (this.#running >= this.#options.size) await this.#turn(signal);
    else this.#running++;
    return { [Symbol.dispose]: () => this.#release() };
  }

  /** A finished job hands its place on without giving it back. */
  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const onTurn = () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(onTurn), 1);
        reject(cancelled(signal));
      };
      this.#waiting.push(onTurn);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  #release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }

  #take(): Worker {
    for (let parked = this.#idle.pop(); parked !== undefined; parked = this.#idle.pop()) {
      clearTimeout(parked.timer);
      if (this.#dead.has(parked.worker)) continue;
      parked.worker.ref();
      return parked.worker;
    }
    return this.#start();
  }

  #start(): Worker {
    const worker = new Worker(this.#options.script, { execArgv: [], resourceLimits });
    const died = () => this.#dead.add(worker);
    return worker.on('error', died).on('exit', died);
  }

  #park(worker: Worker): void {
    if (this.#dead.has(worker)) return;
    worker.unref();
    const timer = setTimeout(() => void this.#end(worker), this.#options.idleMs);
    timer.unref();
    this.#idle.push({ worker, timer });
  }

  async #end(worker: Worker): Promise<void> {
    const at = this.#idle.findIndex((parked) => parked.worker === worker);
    this.#idle.splice(at, 1);
    await worker.terminate();
    if (this.#idle.length === 0 && this.#jobs === 0) await returnFreeMemory();
  }

  async #dispatch(worker: Worker, job: Job, options: RunOptions): Promise<Outcome> {
    const cancel = new SharedArrayBuffer(4);
    const channel = options.stream === undefined ? undefined : new MessageChannel();
    const message: JobMessage<Job> = { job, cancel, stream: channel?.port2 };
    using _abort = onAbort(options.signal, () => {
      stop(worker, cancel, answered);
      channel?.port1.close();
    });
    const answered = answerOf<Outcome>(worker);
    worker.postMessage(message, channel === undefined ? [] : [channel.port2]);
    if (channel && options.stream) void sendStream(channel.port1, options.stream);
    try {
      return await answered;
    } finally {
      channel?.port1.close();
    }
  }
}

const cancelled = (signal: AbortSignal | undefined) => aborted('layer apply was cancelled', signal?.reason);

function refuseAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled(signal);
}

function answerOf<Outcome>(worker: Worker): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      act();
    };
    const onMessage = (message: ResultMessage<Outcome>) =>
      settle(() => ('error' in message ? reject(unpackError(message.error)) : resolve(message.outcome)));
    const onError = (error: Error) => settle(() => reject(internal('layer worker failed', error)));
    const onExit = () => settle(() => reject(internal('layer worker ended')));
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
  });
}

function onAbort(signal: AbortSignal | undefined, act: () => void): Disposable {
  if (signal?.aborted) act();
  signal?.addEventListener('abort', act, { once: true });
  return { [Symbol.dispose]: () => signal?.removeEventListener('abort', act) };
}

function stop(worker: Worker, cancel: SharedArrayBuffer, answered: Promise<unknown>): void {
  Atomics.store(new Int32Array(cancel), 0, 1);
  const timer = setTimeout(() => void worker.terminate(), cancelGraceMs);
  const clear = () => clearTimeout(timer);
  answered.then(clear, clear);
}

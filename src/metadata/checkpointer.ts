import { Worker } from 'node:worker_threads';

/** Frames (pages of 4 KiB) of the log that are worth a checkpoint. */
const checkpointFrames = 1000;
const transactionsPerCheck = 32;
const workerUrl = new URL(import.meta.url.replace(/\/checkpointer(\.[jt]s)$/, '/checkpoint-worker$1'));

/** Copies the log into the database file when it has grown large, in a worker thread (docs/decisions/0002). */
export class Checkpointer {
  readonly #path: string;
  readonly #waitingFrames: () => number;
  #running: Promise<void> | undefined;
  #transactions = 0;

  /** `waitingFrames`: frames of the log that are not in the database file yet. Asked once in many transactions. */
  constructor(path: string, waitingFrames: () => number) {
    this.#path = path;
    this.#waitingFrames = waitingFrames;
  }

  /** Call it after each transaction. */
  committed(): void {
    if (this.#running || ++this.#transactions % transactionsPerCheck !== 0) return;
    if (this.#waitingFrames() < checkpointFrames) return;
    this.#running = this.#work().then(() => {
      this.#running = undefined;
    });
  }

  /** Waits for the checkpoint that runs, if one does. */
  async settled(): Promise<void> {
    await this.#running;
  }

  #work(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const worker = new Worker(workerUrl, { workerData: this.#path });
    // A checkpoint that fails is tried again after the next commit; nothing acknowledged depends on it.
    worker.on('error', () => {});
    worker.on('exit', () => resolve());
    worker.unref();
    return promise;
  }
}

import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { dataLoss, internal } from '../../errors/error.ts';
import type { DigestAlgorithm } from '../../oci/digest.ts';
import type { HashAnswer, HashRequest } from './hash-messages.ts';

const idleMs = 5_000;
const resourceLimits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2 };
// The build renames this file, so its own extension tells that of its neighbour.
const script = new URL(`./hash-worker${extname(import.meta.url)}`, import.meta.url);

/** A part of a file to hash: see {@link HashThread.digest}. */
export interface HashedPart {
  readonly file: number;
  readonly fd: number;
  readonly size: number;
  readonly algorithm: DigestAlgorithm;
}

/**
 * One thread that hashes files while they grow, so that the event loop does not. Started when first needed, ended after
 * five idle seconds, never keeps the process alive. Should it die, the next one starts from the front of each file.
 */
export class HashThread {
  readonly #asked = new Map<number, PromiseWithResolvers<string>>();
  #worker: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #ids = 0;

  /** A number that stands for one file as long as its bytes only grow. */
  newFile(): number {
    return ++this.#ids;
  }

  /**
   * Hex digest of the first `size` bytes; what an earlier call about the same file covered is not read again. The
   * descriptor must stay open until the answer is here. @throws data_loss (the file is shorter), internal (thread died)
   */
  async digest(part: HashedPart): Promise<string> {
    clearTimeout(this.#idle);
    const id = ++this.#ids;
    const answer = Promise.withResolvers<string>();
    this.#asked.set(id, answer);
    const worker = this.#running();
    worker.ref();
    worker.postMessage({ ...part, id } satisfies HashRequest);
    return answer.promise;
  }

  /** Forgets a file. */
  drop(file: number): void {
    this.#worker?.postMessage({ drop: file } satisfies HashRequest);
  }

  #running(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(script, { execArgv: [], resourceLimits });
    worker.on('message', (answer: HashAnswer) => this.#settle(answer));
    worker.on('error', (error) => this.#fail(worker, error));
    worker.on('exit', () => this.#fail(worker, undefined));
    this.#worker = worker;
    return worker;
  }

  #settle(answer: HashAnswer): void {
    const asked = this.#asked.get(answer.id);
    this.#asked.delete(answer.id);
    if (this.#asked.size === 0) this.#rest();
    if ('hex' in answer) asked?.resolve(answer.hex);
    else asked?.reject(dataLoss(`cannot hash what was written: ${answer.error}`));
  }

  #rest(): void {
    this.#worker?.unref();
    this.#idle = setTimeout(() => this.#end(), idleMs).unref();
  }

  #fail(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const { reject } of this.#asked.values()) reject(internal('hash thread died', cause));
    this.#asked.clear();
  }

  #end(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    void worker?.terminate();
  }
}

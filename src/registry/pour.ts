import { writeSync } from 'node:fs';
import type { MessagePort } from 'node:worker_threads';
import { codeOf, messageOf } from '../errors/error.ts';
import { passedThrough } from '../sys/free-memory.ts';
import { WriteBack } from '../sys/write-back.ts';
import type { BodyAnswer, PlainError, PourEnd, PourTarget } from './body-messages.ts';
import type { ResponseBody } from './exchange.ts';

/** The other side hears of progress after so many bytes, or so long. */
const stepBytes = 4 << 20;
const stepMs = 100;

export const plainError = (error: unknown): PlainError => ({
  message: messageOf(error),
  code: codeOf(error),
});

/** Writes a body to a file as it comes, and tells over `port` how far it is and how it ended. */
export class Pour {
  readonly #port: MessagePort;
  readonly #body: ResponseBody;
  readonly #target: PourTarget;
  readonly #timer: NodeJS.Timeout;
  readonly #writeBack: WriteBack;
  #end: number;
  #at: number;
  #told: number;
  #idleMs = performance.eventLoopUtilization().idle;
  #over = false;

  constructor(port: MessagePort, body: ResponseBody, target: PourTarget) {
    this.#port = port;
    this.#body = body;
    this.#target = target;
    this.#end = target.end;
    this.#at = target.offset;
    this.#told = target.offset;
    this.#writeBack = new WriteBack(target.fd, target.offset);
    this.#timer = setInterval(() => this.#tell(), stepMs);
    body.on('data', (chunk: Buffer) => this.#take(chunk));
    body.once('end', () => this.stop({ reason: 'ended' }));
    body.once('error', (error) => this.stop({ reason: 'broken', error: plainError(error) }));
    body.once('close', () => this.stop(brokenOff));
    if (body.destroyed) this.stop(brokenOff);
  }

  /** Stops at another place, or where it is when that is behind already. */
  endAt(end: number): void {
    this.#end = Math.max(this.#at, end);
    if (this.#at === this.#end && this.#end < this.#target.size) this.stop({ reason: 'reached' });
  }

  /** Idempotent: only the first reason counts. */
  stop(end: PourEnd): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#timer);
    this.#tell();
    if (end.reason !== 'ended') this.#body.destroy();
    void this.#letGo(end);
  }

  /** Who hears that it stopped may close the file. */
  async #letGo(end: PourEnd): Promise<void> {
    await this.#writeBack.settled();
    this.#port.postMessage({ stopped: end } satisfies BodyAnswer);
  }

  #take(chunk: Buffer): void {
    if (this.#over) return;
    const mine = chunk.subarray(0, this.#end - this.#at);
    try {
      for (let done = 0; done < mine.length; )
        done += writeSync(this.#target.fd, mine, done, mine.length - done, this.#at + done);
    } catch (error) {
      this.stop({ reason: 'unwritable', error: plainError(error) });
      return;
    }
    this.#at += mine.length;
    this.#writeBack.grewTo(this.#at);
    passedThrough(chunk.length);
    if (this.#at < this.#end) {
      if (this.#at - this.#told >= stepBytes) this.#tell();
    } else if (this.#end < this.#target.size) this.stop({ reason: 'reached' });
    else if (mine.length < chunk.length) this.stop({ reason: 'more' });
  }

  #tell(): void {
    const { idle } = performance.eventLoopUtilization();
    if (this.#at > this.#told) {
      const poured = { to: this.#at, idleMs: idle - this.#idleMs };
      this.#port.postMessage({ poured } satisfies BodyAnswer);
      this.#idleMs = idle;
    }
    this.#told = this.#at;
  }
}

const brokenOff: PourEnd = { reason: 'broken', error: { message: 'aborted', code: 'ECONNRESET' } };

import { unavailable } from '../errors/error.ts';
import type { Subject } from './running-transfer.ts';

/** Fires its signal when a transfer has reported nothing for too long: no bytes that came, none that were unpacked. */
export class StallWatch implements Disposable {
  readonly #stop = new AbortController();
  readonly #timer: NodeJS.Timeout | undefined;

  /** `stallMs` 0: never. */
  constructor(stallMs: number, { verb, name }: Subject) {
    if (stallMs === 0) return;
    this.#timer = setTimeout(
      () =>
        this.#stop.abort(unavailable(`${verb} of ${name} stalled: nothing moved for ${stallMs / 1000} s`)),
      stallMs,
    ).unref();
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  touch(): void {
    this.#timer?.refresh();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

import cliProgress from 'cli-progress';
import type { TransferProgress } from '../client/index.ts';
import { progressLine } from './progress-line.ts';

interface Entry {
  readonly bar: cliProgress.SingleBar;
  step: TransferProgress;
}

const cells = ['█', '░'] as const;

/** After these nothing more happens to an object; a layer that is complete still has to be extracted. */
const isFinal = ({ name, event }: TransferProgress): boolean =>
  /^(?:extracted|already exists|saved|Completed .*)$/.test(event) ||
  (event === 'complete' && !name.startsWith('layer-'));

/**
 * A line for each object, redrawn while it changes. The terminal can only redraw what is on the screen: when there are
 * more objects than rows, those that are ready are written above and left alone, and new ones wait until there is room.
 */
export class Bars {
  readonly #output: NodeJS.WriteStream;
  readonly #multi: cliProgress.MultiBar;
  readonly #shown = new Map<string, Entry>();
  readonly #waiting = new Map<string, TransferProgress>();

  constructor(output: NodeJS.WriteStream) {
    this.#output = output;
    this.#multi = new cliProgress.MultiBar({
      stream: output,
      format: (_options, { maxWidth }, { step }: { step: TransferProgress }) =>
        progressLine(step, maxWidth ?? 80, cells),
      hideCursor: true,
      clearOnComplete: false,
      fps: 10,
      linewrap: false,
      // What is logged above moves all lines, also those that did not change.
      forceRedraw: true,
      gracefulExit: true,
    });
  }

  show(step: TransferProgress): void {
    const entry = this.#shown.get(step.name);
    if (entry === undefined) {
      this.#waiting.set(step.name, merged(this.#waiting.get(step.name), step));
    } else {
      entry.step = merged(entry.step, step);
      entry.bar.update({ step: entry.step });
    }
    this.#admit();
  }

  close(): void {
    for (const step of this.#waiting.values()) this.#log(step);
    this.#multi.update();
    this.#multi.stop();
  }

  #admit(): void {
    for (const [name, step] of this.#waiting) {
      if (this.#shown.size >= this.#room() && !this.#retire()) return;
      this.#waiting.delete(name);
      const bar = this.#multi.create(1, 0, { step });
      this.#shown.set(name, { bar, step });
    }
  }

  /** Rows but one, which the cursor needs at the end. */
  #room(): number {
    return Math.max(1, (this.#output.rows ?? 24) - 1);
  }

  /** Makes room by writing the oldest line that is ready for good. */
  #retire(): boolean {
    for (const [name, { bar, step }] of this.#shown) {
      if (!isFinal(step)) continue;
      this.#shown.delete(name);
      this.#log(step);
      this.#multi.remove(bar);
      return true;
    }
    return false;
  }

  #log(step: TransferProgress): void {
    this.#multi.log(`${progressLine(step, this.#output.columns ?? 80, cells)}\x1b[K\n`);
  }
}

/** Some steps tell no sizes: the last that were told stay. */
const merged = (before: TransferProgress | undefined, step: TransferProgress): TransferProgress => ({
  ...step,
  doneBytes: step.doneBytes > 0 ? step.doneBytes : (before?.doneBytes ?? 0),
  totalBytes: Math.max(step.totalBytes, step.doneBytes, before?.totalBytes ?? 0),
});

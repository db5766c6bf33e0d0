import type { TransferProgress } from '../client/index.ts';
import { humanSize, printable } from './output/text.ts';
import { Bars } from './progress-bars.ts';
import { shortName } from './progress-line.ts';

/** Shows a pull until its progress ends. */
export async function showProgress(
  steps: AsyncIterable<TransferProgress>,
  output: NodeJS.WriteStream,
): Promise<void> {
  const view = output.isTTY === true ? new Bars(output) : new Lines(output);
  try {
    for await (const step of steps) view.show(step);
  } finally {
    view.close();
  }
}

/** A line for each change of what happens to an object; byte counts are left out. */
export class Lines {
  readonly #output: { write(text: string): unknown };
  readonly #last = new Map<string, string>();

  constructor(output: { write(text: string): unknown }) {
    this.#output = output;
  }

  show({ name, event, totalBytes }: TransferProgress): void {
    if (this.#last.get(name) === event) return;
    this.#last.set(name, event);
    const size = totalBytes > 0 ? ` (${humanSize(totalBytes)})` : '';
    this.#output.write(
      `${[shortName(name), printable(event)].filter((part) => part !== '').join(': ')}${size}\n`,
    );
  }

  close(): void {}
}

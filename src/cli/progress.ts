import type { TransferProgress } from '../client/index.ts';
import type { Cli } from './cli.ts';
import { humanSize, printable } from './output/text.ts';
import { Bars } from './progress-bars.ts';
import { shortName } from './progress-line.ts';

/**
 * Shows a transfer until its progress ends; undefined shows nothing. What registries warn of comes on standard error in
 * any case, after the rest.
 */
export async function showTransfer(
  cli: Pick<Cli, 'note'>,
  steps: AsyncIterable<TransferProgress>,
  output: NodeJS.WriteStream | undefined,
): Promise<void> {
  const view = output === undefined ? hidden : output.isTTY === true ? new Bars(output) : new Lines(output);
  const warnings: string[] = [];
  try {
    for await (const step of steps)
      if (isWarning(step)) warnings.push(step.event);
      else view.show(step);
  } finally {
    view.close();
    for (const warning of warnings) cli.note(`berth: ${printable(warning)}`);
  }
}

const hidden = { show: () => {}, close: () => {} };
const isWarning = ({ name, event }: TransferProgress): boolean =>
  name === '' && event.startsWith('warning: ');

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

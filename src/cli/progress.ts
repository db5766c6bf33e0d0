import cliProgress from 'cli-progress';
import type { PullProgress } from '../client/index.ts';
import { humanSize, printable } from './output/text.ts';

/** Shows a pull until its progress ends. */
export async function showProgress(
  steps: AsyncIterable<PullProgress>,
  output: NodeJS.WriteStream,
): Promise<void> {
  const view = output.isTTY === true ? new Bars(output) : new Lines(output);
  try {
    for await (const step of steps) view.show(step);
  } finally {
    view.close();
  }
}

/** `layer-sha256:abc…` or `sha256:abc…` as 12 digits; other names as they are. */
export function shortName(name: string): string {
  const match = /^(?:([a-z]+)-)?sha(?:256|512):([0-9a-f]{12})[0-9a-f]*/.exec(name);
  if (match === null) return printable(name);
  return match[1] === undefined || match[1] === 'layer' ? (match[2] ?? '') : `${match[1]} ${match[2]}`;
}

/** A line for each change of what happens to an object; byte counts are left out. */
export class Lines {
  readonly #output: { write(text: string): unknown };
  readonly #last = new Map<string, string>();

  constructor(output: { write(text: string): unknown }) {
    this.#output = output;
  }

  show({ name, event, totalBytes }: PullProgress): void {
    if (this.#last.get(name) === event) return;
    this.#last.set(name, event);
    const size = totalBytes > 0 ? ` (${humanSize(totalBytes)})` : '';
    this.#output.write(
      `${[shortName(name), printable(event)].filter((part) => part !== '').join(': ')}${size}\n`,
    );
  }

  close(): void {}
}

type Bar = cliProgress.SingleBar;

/** A bar for each object with bytes, a line above them for the rest. */
class Bars {
  readonly #multi: cliProgress.MultiBar;
  readonly #bars = new Map<string, Bar>();

  constructor(output: NodeJS.WriteStream) {
    this.#multi = new cliProgress.MultiBar(
      {
        stream: output,
        format: formatBar,
        hideCursor: true,
        clearOnComplete: false,
        fps: 10,
        emptyOnZero: true,
        linewrap: false,
        gracefulExit: true,
      },
      cliProgress.Presets.shades_classic,
    );
  }

  show({ name, event, doneBytes, totalBytes }: PullProgress): void {
    const known = this.#bars.get(name);
    const total = Math.max(totalBytes, doneBytes);
    const payload = { name: shortName(name), event: printable(event) };
    if (known === undefined) {
      this.#bars.set(name, this.#multi.create(total, doneBytes, payload));
      return;
    }
    if (total > 0) known.setTotal(total);
    known.update(doneBytes > 0 ? doneBytes : known.getProgress() * known.getTotal(), payload);
  }

  close(): void {
    this.#multi.update();
    this.#multi.stop();
  }
}

function formatBar(
  options: cliProgress.Options,
  params: cliProgress.Params,
  payload: { name: string; event: string },
): string {
  const name = payload.name.padEnd(21);
  if (params.total === 0) return `${name} ${payload.event}`;
  const width = 30;
  const filled = Math.round(Math.min(1, params.progress) * width);
  const [full = '#', empty = '-'] = [options.barCompleteString?.[0], options.barIncompleteString?.[0]];
  const bar = full.repeat(filled) + empty.repeat(width - filled);
  return `${name} ${bar} ${humanSize(params.value)}/${humanSize(params.total)} ${payload.event}`;
}

import type { BerthClient, TransferProgress, TransferState } from '../client/index.ts';
import { humanDuration, humanSize } from './output/text.ts';

/** `35.1MB/s, 12 seconds left`, as far as that is known. */
function speedOf({ bytesPerSecond, etaMs }: TransferState): string {
  const speed = bytesPerSecond > 0 ? [`${humanSize(Math.round(bytesPerSecond))}/s`] : [];
  return [...speed, ...(etaMs === undefined ? [] : [`${humanDuration(etaMs)} left`])].join(', ');
}

/** A transfer as a whole, as a line of progress. */
export function summaryOf(state: TransferState): TransferProgress {
  const { verb, name, doneBytes, totalBytes, status, error } = state;
  const event = status === 'failed' ? error : status === 'done' ? 'done' : speedOf(state);
  return { name: `${verb} ${name}`.trim(), event, parents: [], doneBytes, totalBytes };
}

/** Steps of a pull that begins now, and among them what the daemon says of it as a whole. `name` is the full reference. */
export async function* withSummary(
  client: BerthClient,
  name: string,
  steps: AsyncIterable<TransferProgress>,
): AsyncGenerator<TransferProgress> {
  const stop = new AbortController();
  let latest: TransferProgress | undefined;
  const watch = async () => {
    for await (const state of client.transfers.watch({ signal: stop.signal }))
      if (state.verb === 'pull' && state.name === name) latest = summaryOf(state);
  };
  watch().catch(() => {}); // a daemon without this service pulls all the same
  try {
    for await (const step of steps) {
      if (latest !== undefined) yield latest;
      latest = undefined;
      yield step;
    }
    if (latest !== undefined) yield latest;
  } finally {
    stop.abort();
  }
}

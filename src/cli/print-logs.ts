import { once } from 'node:events';
import type { LogEntry } from '../client/index.ts';
import type { Cli } from './cli.ts';

/** Writes log lines to the streams they came from, byte for byte, as fast as these take them. */
export async function printLogs(
  cli: Cli,
  entries: AsyncIterable<LogEntry>,
  timestamps: boolean,
): Promise<void> {
  const midLine = { stdout: false, stderr: false };
  for await (const { stream, data, time, partial } of entries) {
    const to = stream === 'stderr' ? cli.stderr : cli.stdout;
    const head = timestamps && !midLine[stream] ? `${time.toISOString()} ` : '';
    midLine[stream] = partial;
    const line = Buffer.concat([Buffer.from(head), data, Buffer.from(partial ? '' : '\n')]);
    if (!to.write(line)) await once(to, 'drain');
  }
}

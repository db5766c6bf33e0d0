import type { Command } from 'commander';
import type { LogOptions } from '../../client/index.ts';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';

interface Options {
  readonly follow?: true;
  readonly tail: string;
  readonly timestamps?: true;
  readonly since?: string;
}

export function define(command: Command): void {
  command
    .argument('<container>', 'name or id')
    .option('-f, --follow', 'go on with what is written from now')
    .option('-n, --tail <lines>', 'only the last lines, or all', 'all')
    .option('-t, --timestamps', 'show when each line was written')
    .option('--since <time>', 'only from this moment: 10m, 2026-01-31T12:00:00Z, Unix seconds');
  act<Options>(command, logs);
}

async function logs(cli: Cli, [name = '']: readonly string[], options: Options): Promise<void> {
  const { findContainer } = await import('../containers.ts');
  const client = await cli.client();
  const { id } = await findContainer(client, name);
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  const wanted = await logOptions(options, stop.signal);
  if (wanted === undefined) return;
  const { printLogs } = await import('../print-logs.ts');
  await printLogs(cli, client.containers.logs(id, wanted), options.timestamps === true);
}

/** undefined: nothing can come. */
async function logOptions(options: Options, signal: AbortSignal): Promise<LogOptions | undefined> {
  const { parseCount } = await import('../parse/size.ts');
  const { parseMoment } = await import('../parse/time.ts');
  const lines = options.tail === 'all' ? 0 : parseCount(options.tail, 'number of lines', -1);
  const none = options.tail !== 'all' && lines === 0;
  if (none && options.follow !== true) return undefined;
  return {
    follow: options.follow === true,
    tail: none ? -1 : Math.max(0, lines),
    signal,
    ...(options.since === undefined ? {} : { since: parseMoment(options.since) }),
  };
}

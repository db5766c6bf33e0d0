import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { forEachContainer } from '../containers.ts';
import { parseSignal } from '../parse/signal.ts';
import { parseCount } from '../parse/size.ts';
import { noteStop, ownSignal, stopContainer } from '../stop-container.ts';

interface Options {
  readonly time: string;
  readonly signal?: string;
}

export function define(command: Command): void {
  command
    .argument('<container...>', 'names or ids')
    .option('-t, --time <seconds>', 'how long to wait before it is killed, -1 for ever', '10')
    .option('-s, --signal <signal>', 'signal to send first');
  act<Options>(command, stop);
}

async function stop(cli: Cli, names: readonly string[], options: Options): Promise<void> {
  const client = await cli.client();
  const seconds = parseCount(options.time, 'time', -1);
  const chosen = options.signal === undefined ? undefined : parseSignal(options.signal);
  await forEachContainer(client, names, async (container, name) => {
    await noteStop(client, container);
    await stopContainer(client, container, chosen ?? ownSignal(container), seconds * 1000);
    cli.print(`${name}\n`);
  });
}

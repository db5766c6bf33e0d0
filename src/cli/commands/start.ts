import type { Command } from 'commander';
import type { BerthClient, Container } from '../../client/index.ts';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { noteStart, prepareStart, startDetached } from '../start-container.ts';

interface Options {
  readonly attach?: true;
  readonly interactive?: true;
  readonly detachKeys: string;
}

export function define(command: Command): void {
  command
    .argument('<container...>', 'names or ids')
    .option('-a, --attach', 'connect its output')
    .option('-i, --interactive', 'connect standard input too')
    .option('--detach-keys <keys>', 'keys that leave it running', 'ctrl-p,ctrl-q');
  act<Options>(command, start);
}

async function start(cli: Cli, names: readonly string[], options: Options): Promise<number> {
  const { CliError } = await import('../failure.ts');
  const { findContainer, forEachContainer } = await import('../containers.ts');
  const client = await cli.client();
  if (options.attach === true || options.interactive === true) {
    const [name = '', other] = names;
    if (other !== undefined) throw new CliError('only one container can be attached to');
    return startAttached(cli, client, await findContainer(client, name), options);
  }
  await forEachContainer(client, names, async (container, name) => {
    if (await prepareStart(client, container)) await startDetached(client, container);
    cli.print(`${name}\n`);
  });
  return 0;
}

async function startAttached(
  cli: Cli,
  client: BerthClient,
  container: Container,
  options: Options,
): Promise<number> {
  const { CliError } = await import('../failure.ts');
  const { hasTerminal } = await import('../spec.ts');
  const { runSession } = await import('../session.ts');
  const { findDetachKeys } = await import('../terminal.ts');
  if (!(await prepareStart(client, container))) {
    throw new CliError('the container runs already', { hint: 'connect to it: berth attach' });
  }
  const terminal = hasTerminal(container);
  const streams = { stdin: options.interactive === true, stdout: true, stderr: true };
  const task = await client.tasks.create(container.id, { terminal, ...streams });
  const exit = await runSession(cli, task, {
    terminal,
    forwardSignals: true,
    detachKeys: findDetachKeys(options.detachKeys) ?? [16, 17],
    start: async () => {
      await task.start();
      await noteStart(client, container);
    },
  });
  return exit?.code ?? 0;
}

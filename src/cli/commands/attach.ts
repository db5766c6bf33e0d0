import type { Command } from 'commander';
import type { BerthClient, Container, TaskState } from '../../client/index.ts';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';

interface Options {
  readonly stdin: boolean;
  readonly sigProxy: boolean;
  readonly detachKeys: string;
}

export function define(command: Command): void {
  command
    .argument('<container>', 'name or id')
    .option('--no-stdin', 'do not connect standard input', true)
    .option('--no-sig-proxy', 'do not send signals on to the container', true)
    .option('--detach-keys <keys>', 'keys that leave it running', 'ctrl-p,ctrl-q');
  act<Options>(command, attach);
}

async function attach(cli: Cli, [name = '']: readonly string[], options: Options): Promise<number> {
  const { findContainer, findTask, notRunning } = await import('../containers.ts');
  const client = await cli.client();
  const container = await findContainer(client, name);
  const task = await findTask(client, container.id);
  if (task?.status !== 'running') throw notRunning(container, 1);
  return connect(cli, client, container, task, options);
}

/** Streams that go to a log file are followed there: they have no other end to connect to. */
async function connect(
  cli: Cli,
  client: BerthClient,
  { id }: Container,
  task: TaskState,
  options: Options,
): Promise<number> {
  const { runSession } = await import('../session.ts');
  const { findDetachKeys } = await import('../terminal.ts');
  // Before anything can be typed: what it answers comes later, however long the rest takes to load.
  const since = new Date();
  const target = await client.tasks.attach(id, { stdin: options.stdin, stdout: true, stderr: true });
  const stop = new AbortController();
  const logged = task.stdio.stdout !== '' && !task.stdio.stdout.startsWith('/');
  const following = logged ? followLogs(cli, client, id, since, stop.signal) : Promise.resolve();
  const exit = await runSession(cli, target, {
    terminal: task.terminal,
    forwardSignals: options.sigProxy,
    detachKeys: findDetachKeys(options.detachKeys) ?? [16, 17],
    start: async () => {},
  });
  if (exit === undefined) stop.abort();
  await following;
  return exit?.code ?? 0;
}

async function followLogs(
  cli: Cli,
  client: BerthClient,
  id: string,
  since: Date,
  signal: AbortSignal,
): Promise<void> {
  const { printLogs } = await import('../print-logs.ts');
  await printLogs(cli, client.containers.logs(id, { follow: true, since, signal }), false);
}

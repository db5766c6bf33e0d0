import type { Command } from 'commander';
import type { BerthClient, Container, ExecOptions, Process } from '../../client/index.ts';
import type { Cli } from '../cli.ts';
import { act, collect } from '../command.ts';

interface Options {
  readonly interactive?: true;
  readonly tty?: true;
  readonly detach?: true;
  readonly env?: readonly string[];
  readonly envFile?: readonly string[];
  readonly user?: string;
  readonly workdir?: string;
  readonly privileged?: true;
  readonly detachKeys: string;
}

export function define(command: Command): void {
  command
    .argument('<container>', 'name or id')
    .argument('<command>', 'what to run')
    .argument('[args...]', 'its arguments')
    .passThroughOptions()
    .option('-i, --interactive', 'connect standard input')
    .option('-t, --tty', 'give it a terminal')
    .option('-d, --detach', 'do not wait for it')
    .option('-e, --env <name[=value]>', 'set an environment variable', collect)
    .option('--env-file <file>', 'read environment variables from a file', collect)
    .option('-u, --user <user[:group]>', 'name or number of user and group')
    .option('-w, --workdir <path>', 'working directory in the container')
    .option('--privileged', 'give all capabilities')
    .option('--detach-keys <keys>', 'keys that leave it running', 'ctrl-p,ctrl-q');
  act<Options>(command, exec);
}

async function exec(cli: Cli, [name = '', ...args]: readonly string[], options: Options): Promise<number> {
  const { CliError } = await import('../failure.ts');
  const { findContainer } = await import('../containers.ts');
  if (options.tty === true && options.interactive === true && !options.detach && !cli.stdin.isTTY) {
    throw new CliError('the input is not a terminal', { exitCode: 125, hint: 'leave out -t' });
  }
  const client = await cli.client();
  const container = await findContainer(client, name);
  const wanted = await execOptions(cli, args, options);
  if (options.detach === true) {
    using target = await makeExec(client, container, wanted);
    await target.start();
    return 0;
  }
  const { runSession } = await import('../session.ts');
  const { findDetachKeys } = await import('../terminal.ts');
  const target = await makeExec(client, container, { ...wanted, ...streams(options) });
  const exit = await runSession(cli, target, {
    terminal: options.tty === true,
    forwardSignals: options.tty !== true,
    detachKeys: findDetachKeys(options.detachKeys) ?? [16, 17],
    start: () => target.start(),
  });
  if (exit === undefined) return 0;
  await target.delete().catch(() => {});
  return exit.code;
}

/** Asks for the container's state only when it went wrong. */
async function makeExec(client: BerthClient, container: Container, wanted: ExecOptions): Promise<Process> {
  try {
    return await client.tasks.exec(container.id, wanted);
  } catch (error) {
    const { findTask, notRunning } = await import('../containers.ts');
    const task = await findTask(client, container.id);
    throw task?.status === 'running' || task?.status === 'paused' ? error : notRunning(container, 125);
  }
}

const streams = (options: Options) => ({ stdin: options.interactive === true, stdout: true, stderr: true });

async function execOptions(cli: Cli, args: readonly string[], options: Options): Promise<ExecOptions> {
  const { parseEnv } = await import('../parse/env.ts');
  const { readEnvFiles } = await import('../run-options.ts');
  const single = (options.env ?? []).map((text) => parseEnv(text, cli.env));
  return {
    args,
    env: [
      ...(options.tty === true ? ['TERM=xterm'] : []),
      ...readEnvFiles(options.envFile ?? [], cli.env),
      ...single.filter((variable) => variable !== undefined),
    ],
    workdir: options.workdir ?? '',
    user: options.user ?? '',
    terminal: options.tty === true,
    privileged: options.privileged === true,
  };
}

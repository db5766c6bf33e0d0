import type { BerthClient, CreatedContainer } from '../client/index.ts';
import { invalidArgument, isKind } from '../errors/error.ts';
import type { Cli } from './cli.ts';
import { CliError } from './failure.ts';
import { lookUpImage } from './images.ts';
import { pullImage } from './pull-image.ts';
import { containerOptions, type RunOptions } from './run-options.ts';
import { runSession } from './session.ts';
import { findDetachKeys } from './terminal.ts';

/** The whole of `berth run`. @returns the container's exit status, or 0 when it was left running */
export async function runContainer(
  cli: Cli,
  image: string,
  args: readonly string[],
  options: RunOptions,
): Promise<number> {
  checkStreams(cli, options);
  const wanted = containerOptions(image, args, options, { env: cli.env, cwd: process.cwd() });
  const client = await cli.client();
  const name = await ensureImage(cli, client, image, options);
  const container = await client.containers.create({ ...wanted, image: name });
  try {
    return options.detach === true
      ? await runDetached(cli, client, container, options)
      : await runAttached(cli, client, container, options);
  } catch (error) {
    if (options.rm === true) await discard(client, container.id).catch(() => {});
    throw error;
  }
}

function checkStreams(cli: Cli, options: RunOptions): void {
  if (options.tty === true && options.interactive === true && !options.detach && !cli.stdin.isTTY) {
    throw new CliError('the input is not a terminal', { exitCode: 125, hint: 'leave out -t' });
  }
}

/** @returns the image's name as it is recorded */
async function ensureImage(
  cli: Cli,
  client: BerthClient,
  image: string,
  options: RunOptions,
): Promise<string> {
  if (!['always', 'missing', 'never'].includes(options.pull)) {
    throw invalidArgument(`--pull is always, missing or never, not ${JSON.stringify(options.pull)}`);
  }
  const fresh = options.pull === 'always' || (options.platform !== undefined && options.pull !== 'never');
  const here = fresh ? undefined : await lookUpImage(client, image);
  if (here !== undefined) return here.name;
  if (options.pull === 'never') {
    throw new CliError(`image ${image} is not here`, {
      exitCode: 125,
      hint: `fetch it: berth pull ${image}`,
    });
  }
  const { platform, snapshotter, plainHttp } = options;
  const quiet = options.quiet === true;
  const pulled = await pullImage(cli, image, { quiet, platform, snapshotter, plainHttp, output: cli.stderr });
  return pulled.name;
}

async function runDetached(
  cli: Cli,
  client: BerthClient,
  { id, logUri }: CreatedContainer,
  options: RunOptions,
): Promise<number> {
  const terminal = options.tty === true;
  using task = await client.tasks.create(id, { terminal, logUri, stdin: options.interactive === true });
  await task.start();
  cli.print(`${id}\n`);
  return 0;
}

async function runAttached(
  cli: Cli,
  client: BerthClient,
  { id }: CreatedContainer,
  options: RunOptions,
): Promise<number> {
  const detachKeys = findDetachKeys(options.detachKeys);
  if (detachKeys === undefined) {
    throw invalidArgument(
      `invalid detach keys ${JSON.stringify(options.detachKeys)}, want e.g. ctrl-p,ctrl-q`,
    );
  }
  const terminal = options.tty === true;
  const streams = { stdin: options.interactive === true, stdout: true, stderr: true };
  const task = await client.tasks.create(id, { terminal, ...streams });
  const forwardSignals = options.sigProxy;
  const exit = await runSession(cli, task, {
    terminal,
    forwardSignals,
    detachKeys,
    start: () => task.start(),
  });
  if (exit === undefined) return 0;
  if (options.rm === true) await discard(client, id);
  return exit.code;
}

/** The daemon removes it too; whoever comes second finds nothing. */
async function discard(client: BerthClient, id: string): Promise<void> {
  try {
    await client.containers.remove(id, { force: true });
  } catch (error) {
    if (!isKind(error, 'not_found')) throw error;
  }
}

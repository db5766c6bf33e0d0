import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { findContainer } from '../containers.ts';
import { formatObject } from '../output/print.ts';

interface Options {
  readonly exit?: true;
  readonly tcpEstablished?: true;
  readonly extUnixSk?: true;
  readonly shellJob?: true;
  readonly fileLocks?: true;
}

export function define(command: Command): void {
  command
    .argument('<container>', 'name or id')
    .argument('<image>', 'name of the image that is made')
    .option('-e, --exit', 'end the container; else it goes on')
    .option('--tcp-established', 'keep established TCP connections')
    .option('--ext-unix-sk', 'keep Unix sockets whose other end is outside')
    .option('--shell-job', 'keep a terminal from outside')
    .option('--file-locks', 'keep locks on files');
  act<Options>(command, checkpoint);
}

async function checkpoint(
  cli: Cli,
  [container = '', name = '']: readonly string[],
  { exit, tcpEstablished, extUnixSk, shellJob, fileLocks }: Options,
): Promise<void> {
  const client = await cli.client();
  const { id } = await findContainer(client, container);
  const digest = await client.checkpoints.create(id, name, {
    exit: exit === true,
    openTcp: tcpEstablished === true,
    externalUnixSockets: extUnixSk === true,
    terminal: shellJob === true,
    fileLocks: fileLocks === true,
  });
  cli.print(formatObject(cli.globals, { Name: name, Digest: digest }) ?? `${digest}\n`);
}

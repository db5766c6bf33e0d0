import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { act, collect } from '../command.ts';
import { findContainer } from '../containers.ts';
import { formatObject } from '../output/print.ts';

interface Options {
  readonly message?: string;
  readonly author?: string;
  readonly change?: readonly string[];
  readonly pause: boolean;
}

export function define(command: Command): void {
  command
    .argument('<container>', 'name or id')
    .argument('<image>', 'name of the image that is made')
    .option('-m, --message <text>', 'what was done')
    .option('-a, --author <name>', 'who did it')
    .option('-c, --change <line>', 'a line of a Dockerfile, e.g. CMD ["sh"]', collect)
    .option('-p, --pause', 'pause the container meanwhile (default)', true)
    .option('--no-pause', 'let the container run on meanwhile');
  act<Options>(command, commit);
}

async function commit(
  cli: Cli,
  [container = '', name = '']: readonly string[],
  options: Options,
): Promise<void> {
  const client = await cli.client();
  const { id } = await findContainer(client, container);
  const { message, author, change, pause } = options;
  const image = await client.images.commit(id, name, {
    pause,
    ...(message === undefined ? {} : { message }),
    ...(author === undefined ? {} : { author }),
    ...(change === undefined ? {} : { changes: change }),
  });
  const facts = { Name: image.name, Digest: image.target.digest };
  cli.print(formatObject(cli.globals, facts) ?? `${image.target.digest}\n`);
}

import type { Command } from 'commander';
import type { BerthClient, Image } from '../../client/index.ts';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { findTask, titleOf } from '../containers.ts';
import { CliError } from '../failure.ts';
import { findImage } from '../images.ts';

export function define(command: Command): void {
  command
    .argument('<image...>', 'names or digests')
    .option('-f, --force', 'also when a container runs on it');
  act<{ readonly force?: true }>(command, rmi);
}

async function rmi(cli: Cli, names: readonly string[], options: { readonly force?: true }): Promise<void> {
  const client = await cli.client();
  for (const name of names) {
    const image = await findImage(client, name);
    if (options.force !== true) await checkUnused(client, image);
    await client.images.remove(image.name, { sync: true });
    cli.print(`Untagged: ${image.name}\n`);
    const others = await client.images.list([`target.digest==${image.target.digest}`]);
    if (others.length === 0) cli.print(`Deleted: ${image.target.digest}\n`);
  }
}

/** As docker: an image that a container stands on is not removed without force. */
async function checkUnused(client: BerthClient, image: Image): Promise<void> {
  const [user] = await client.containers.list([`image==${image.name}`]);
  if (user === undefined) return;
  const running = (await findTask(client, user.id))?.status === 'running';
  throw new CliError(
    `image ${image.name} is used by ${running ? 'the running' : 'the stopped'} container ${titleOf(user)}`,
    { hint: `remove the container first (berth rm ${titleOf(user)}), or use -f` },
  );
}

import type { Command } from 'commander';
import { act } from '../command.ts';
import { findImage } from '../images.ts';

export function define(command: Command): void {
  command.argument('<image>', 'name or digest').argument('<name>', 'its further name');
  act<object>(command, async (cli, [source = '', target = '']) => {
    const client = await cli.client();
    const image = await findImage(client, source);
    await client.images.tag(image.name, target, { force: true });
  });
}

import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import type { SaveOptions } from '../../client/index.ts';
import { act } from '../command.ts';
import { CliError } from '../failure.ts';

interface Options {
  readonly output?: string;
  readonly platform?: string;
  readonly allPlatforms?: true;
}

export function define(command: Command): void {
  command
    .argument('<image...>', 'names of images')
    .option('-o, --output <file>', 'write to a file, not to standard output')
    .option('--platform <os/arch>', "platform to take; default: this machine's")
    .option('--all-platforms', 'take all platforms, which must all be here');
  act<Options>(command, async (cli, names, options) => {
    if (options.output === undefined && cli.stdout.isTTY)
      throw new CliError('an archive is not written to a terminal', {
        hint: 'name a file with -o, or redirect the output',
      });
    const client = await cli.client();
    const archive = Readable.from(client.images.save(names, await saveOptions(options)));
    if (options.output === undefined) await pipeline(archive, cli.stdout, { end: false });
    else await writeFile(archive, options.output);
  });
}

async function saveOptions({ platform, allPlatforms }: Options): Promise<SaveOptions> {
  if (allPlatforms === true) return { platforms: 'all' };
  if (platform === undefined) return {};
  const { parsePlatform } = await import('../../oci/platform.ts');
  return { platforms: [parsePlatform(platform)] };
}

/** The file appears under its name once it is whole. */
async function writeFile(archive: Readable, path: string): Promise<void> {
  const partial = `${path}.part`;
  try {
    await pipeline(archive, createWriteStream(partial));
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

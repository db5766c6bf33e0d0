import type { Image } from '../client/index.ts';
import type { Cli } from './cli.ts';
import { interruptible, type RegistryOptions, registryAccess } from './registry-access.ts';

export interface PullWish extends RegistryOptions {
  readonly quiet: boolean;
  readonly platform?: string | undefined;
  readonly snapshotter?: string | undefined;
  /** Where progress is shown. */
  readonly output: NodeJS.WriteStream;
}

/** Pulls an image and shows how far it is: bars on a terminal, lines elsewhere. Ctrl-C cancels. */
export async function pullImage(cli: Cli, reference: string, wish: PullWish): Promise<Image> {
  const client = await cli.client();
  const { parsePlatform } = await import('../oci/platform.ts');
  const { normalizeReference } = await import('../oci/reference.ts');
  const { showTransfer } = await import('./progress.ts');
  const { withSummary } = await import('./transfer-summary.ts');
  return interruptible('pull', async (signal) => {
    const pull = client.images.pull(reference, {
      ...(await registryAccess(cli, wish, signal)),
      ...(wish.platform === undefined ? {} : { platforms: [parsePlatform(wish.platform)] }),
      ...(wish.snapshotter === undefined ? {} : { snapshotter: wish.snapshotter }),
    });
    const steps = wish.output.isTTY ? withSummary(client, normalizeReference(reference), pull) : pull;
    await showTransfer(cli, steps, wish.quiet ? undefined : wish.output);
    return pull.image();
  });
}

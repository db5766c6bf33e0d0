import type { Credentials, Image, PullOptions } from '../client/index.ts';
import type { Cli } from './cli.ts';
import { CliError } from './failure.ts';

export interface PullWish {
  readonly quiet: boolean;
  readonly platform?: string | undefined;
  /** `name` or `name:password`. */
  readonly user?: string | undefined;
  readonly plainHttp?: boolean | undefined;
  readonly snapshotter?: string | undefined;
  /** Where progress is shown. */
  readonly output: NodeJS.WriteStream;
}

/** Pulls an image and shows how far it is: bars on a terminal, lines elsewhere. Ctrl-C cancels. */
export async function pullImage(cli: Cli, reference: string, wish: PullWish): Promise<Image> {
  const client = await cli.client();
  const cancel = new AbortController();
  const interrupt = () => cancel.abort();
  process.once('SIGINT', interrupt);
  try {
    const pull = client.images.pull(reference, await pullOptions(cli, wish, cancel.signal));
    if (wish.quiet) return await pull.image();
    const { showProgress } = await import('./progress.ts');
    await showProgress(pull, wish.output);
    return await pull.image();
  } catch (error) {
    if (cancel.signal.aborted) throw new CliError('pull canceled', { exitCode: 130, cause: error });
    throw error;
  } finally {
    process.off('SIGINT', interrupt);
  }
}

async function pullOptions(cli: Cli, wish: PullWish, signal: AbortSignal): Promise<PullOptions> {
  const { parsePlatform } = await import('../oci/platform.ts');
  const given = wish.user === undefined ? undefined : await userCredentials(cli, wish.user);
  const { findCredentials } = await import('./credentials.ts');
  return {
    signal,
    credentials: async (host) => given ?? findCredentials(host, cli.env),
    ...(wish.platform === undefined ? {} : { platforms: [parsePlatform(wish.platform)] }),
    ...(wish.plainHttp === undefined ? {} : { plainHttp: wish.plainHttp }),
    ...(wish.snapshotter === undefined ? {} : { snapshotter: wish.snapshotter }),
  };
}

/** A password that is not on the command line is asked for, without showing it. */
async function userCredentials(cli: Cli, user: string): Promise<Credentials> {
  const at = user.indexOf(':');
  if (at >= 0) return { username: user.slice(0, at), password: user.slice(at + 1) };
  if (!cli.stdin.isTTY) {
    throw new CliError('a password is needed', { hint: 'give it as --user name:password' });
  }
  const { askSecret } = await import('./credentials.ts');
  return { username: user, password: await askSecret(cli, `Password for ${user}: `) };
}

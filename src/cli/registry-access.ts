import type { Command } from 'commander';
import type { Credentials, RegistryAccess } from '../client/index.ts';
import type { Cli } from './cli.ts';
import { CliError } from './failure.ts';

/** Options of every command that speaks to a registry. */
export interface RegistryOptions {
  /** `name` or `name:password`. */
  readonly user?: string | undefined;
  readonly plainHttp?: boolean | undefined;
}

/** Adds them to a command. */
export const addRegistryOptions = (command: Command): Command =>
  command
    .option('-u, --user <name[:password]>', 'credentials for the registry')
    .option('--plain-http', 'speak HTTP without TLS to the registry');

/** Credentials as given on the command line, else as a login kept them. */
export async function registryAccess(
  cli: Cli,
  { user, plainHttp }: RegistryOptions,
  signal?: AbortSignal,
): Promise<RegistryAccess> {
  const given = user === undefined ? undefined : await userCredentials(cli, user);
  const { findCredentials } = await import('./credentials.ts');
  return {
    credentials: async (host) => given ?? (await findCredentials(host, cli.env)),
    ...(signal === undefined ? {} : { signal }),
    ...(plainHttp === undefined ? {} : { plainHttp }),
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

/** Runs `work` with a signal that Ctrl-C fires. `what` names it in the error: `push canceled`. */
export async function interruptible<T>(what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const cancel = new AbortController();
  const interrupt = () => cancel.abort();
  process.once('SIGINT', interrupt);
  try {
    return await work(cancel.signal);
  } catch (error) {
    if (cancel.signal.aborted) throw new CliError(`${what} canceled`, { exitCode: 130, cause: error });
    throw error;
  } finally {
    process.off('SIGINT', interrupt);
  }
}

import { createInterface } from 'node:readline/promises';
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { CliError } from '../failure.ts';

interface Options {
  readonly username?: string;
  readonly password?: string;
  readonly passwordStdin?: true;
  readonly plainHttp?: true;
}

export function define(command: Command): void {
  command
    .argument('[registry]', 'host or host:port', 'docker.io')
    .option('-u, --username <name>', 'user name')
    .option('-p, --password <password>', 'password; others on this machine can see it, better leave it out')
    .option('--password-stdin', 'read the password from standard input')
    .option('--plain-http', 'speak HTTP without TLS to the registry');
  act<Options>(command, async (cli, [registry = 'docker.io'], options) => {
    const login = await askLogin(cli, options);
    const { keepLogin } = await import('../logins.ts');
    const client = await cli.client();
    await client.registries.checkLogin(hostOf(registry), {
      credentials: async () => login,
      ...(options.plainHttp === true ? { plainHttp: true } : {}),
    });
    const where = await keepLogin(hostOf(registry), login, cli.env);
    cli.note(`the login is kept by ${where}`);
    cli.print('Login Succeeded\n');
  });
}

/** People paste addresses. */
export const hostOf = (registry: string): string =>
  registry.replace(/^https?:\/\//, '').replace(/\/(?:v[12]\/?)?$/, '');

async function askLogin(cli: Cli, options: Options): Promise<{ username: string; password: string }> {
  if (options.passwordStdin === true) {
    if (options.username === undefined)
      throw new CliError('--password-stdin needs --username', { exitCode: 2 });
    const password = (await text(cli.stdin)).replace(/\r?\n$/, '');
    return checked(options.username, password);
  }
  if (options.password !== undefined && options.username !== undefined)
    return checked(options.username, options.password);
  if (!cli.stdin.isTTY)
    throw new CliError('the input is not a terminal to ask on', {
      hint: 'give --username and --password-stdin',
    });
  const username = options.username ?? (await askName(cli));
  const { askSecret } = await import('../credentials.ts');
  return checked(username, options.password ?? (await askSecret(cli, 'Password: ')));
}

function checked(username: string, password: string): { username: string; password: string } {
  if (username !== '' && password !== '' && !username.includes(':')) return { username, password };
  throw new CliError('a user name without a colon and a password are needed');
}

async function askName(cli: Cli): Promise<string> {
  const reader = createInterface({ input: cli.stdin, output: cli.stderr });
  try {
    return (await reader.question('Username: ')).trim();
  } finally {
    reader.close();
  }
}

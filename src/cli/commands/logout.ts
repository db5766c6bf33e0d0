import type { Command } from 'commander';
import { act } from '../command.ts';
import { hostOf } from './login.ts';

export function define(command: Command): void {
  command.argument('[registry]', 'host or host:port', 'docker.io');
  act<object>(command, async (cli, [registry = 'docker.io']) => {
    const { dropLogin } = await import('../logins.ts');
    const host = hostOf(registry);
    const dropped = await dropLogin(host, cli.env);
    if (dropped) cli.print(`Removed the login for ${host}\n`);
    else cli.note(`not logged in to ${host}`);
  });
}

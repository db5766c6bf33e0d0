import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { Credentials } from '../client/index.ts';
import type { Cli } from './cli.ts';
import { askHelper, type HelperLogin } from './credential-helper.ts';
import {
  configFile,
  type DockerAuth,
  type DockerConfig,
  keyOf,
  keysOf,
  readDockerConfig,
} from './docker-config.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What `berth login`, `docker login` or `nerdctl login` kept for a registry: by the credential helper that docker's
 * config.json names for it, else in that file itself.
 * @throws invalid_argument when the file is not JSON, not_found (no such helper), unavailable (helper failed)
 */
export async function findCredentials(host: string, env: Environment): Promise<Credentials | undefined> {
  const config = readDockerConfig(configFile(env));
  const helper = helperFor(config, host);
  const login = helper === undefined ? undefined : await askHelper(helper, keyOf(host));
  return login === undefined ? pickCredentials(config.auths, host) : fromHelper(login);
}

/** The credential helper that keeps the logins of a registry. */
export const helperFor = ({ credHelpers, credsStore }: DockerConfig, host: string): string | undefined =>
  keysOf(host)
    .map((key) => (Object.hasOwn(credHelpers, key) ? credHelpers[key] : undefined))
    .find((name) => name !== undefined) ?? credsStore;

const fromHelper = ({ Username, Secret }: HelperLogin): Credentials =>
  Username === '<token>' ? { refreshToken: Secret } : { username: Username, password: Secret };

/** Exported for tests. */
export function pickCredentials(
  auths: Readonly<Record<string, DockerAuth>>,
  host: string,
): Credentials | undefined {
  const found = keysOf(host)
    .map((key) => (Object.hasOwn(auths, key) ? auths[key] : undefined))
    .find((auth) => auth !== undefined);
  if (found === undefined) return undefined;
  if (found.identitytoken) return { refreshToken: found.identitytoken };
  if (found.username !== undefined && found.password !== undefined) {
    return { username: found.username, password: found.password };
  }
  const decoded = Buffer.from(found.auth ?? '', 'base64').toString('utf8');
  const at = decoded.indexOf(':');
  return at < 1
    ? undefined
    : { username: decoded.slice(0, at), password: decoded.slice(at + 1).replace(/\0+$/, '') };
}

/** Asks on the terminal without showing what is typed. */
export async function askSecret(cli: Cli, question: string): Promise<string> {
  cli.stderr.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: cli.stdin, output: nowhere, terminal: true });
  try {
    return await reader.question('');
  } finally {
    reader.close();
    cli.stderr.write('\n');
  }
}

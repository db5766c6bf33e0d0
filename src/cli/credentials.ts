import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { Credentials } from '../client/index.ts';
import { codeOf, invalidArgument } from '../errors/error.ts';
import type { Cli } from './cli.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const dockerHub = new Set(['docker.io', 'registry-1.docker.io', 'index.docker.io']);
const dockerHubKeys = ['https://index.docker.io/v1/', 'index.docker.io', 'docker.io'];

/**
 * What `docker login` or `nerdctl login` kept for a registry in `$DOCKER_CONFIG/config.json` (default ~/.docker).
 * Credential helpers are not asked. @throws invalid_argument when the file is not JSON
 */
export function findCredentials(host: string, env: Environment): Credentials | undefined {
  const file = join(env.DOCKER_CONFIG ?? join(env.HOME ?? homedir(), '.docker'), 'config.json');
  return pickCredentials(readConfig(file), host);
}

interface DockerAuth {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
}

function readConfig(file: string): Readonly<Record<string, DockerAuth>> {
  try {
    const config = JSON.parse(readFileSync(file, 'utf8')) as { auths?: Record<string, DockerAuth> };
    return config.auths ?? {};
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'EACCES') return {};
    throw invalidArgument(`${file} is not JSON`, error);
  }
}

/** Exported for tests. */
export function pickCredentials(
  auths: Readonly<Record<string, DockerAuth>>,
  host: string,
): Credentials | undefined {
  const keys = dockerHub.has(host)
    ? dockerHubKeys
    : [host, `https://${host}`, `http://${host}`, `https://${host}/v2/`];
  const found = keys.map((key) => auths[key]).find((auth) => auth !== undefined);
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

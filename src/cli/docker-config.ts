import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { codeOf, invalidArgument } from '../errors/error.ts';

type Environment = Readonly<Record<string, string | undefined>>;
const limitBytes = 4 * 1024 * 1024;

/** What docker keeps of a login. */
export interface DockerAuth {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
}

/** The part of docker's config.json that is about logins; what else there is stays as it is. */
export interface DockerConfig {
  readonly auths: Readonly<Record<string, DockerAuth>>;
  readonly credsStore: string | undefined;
  readonly credHelpers: Readonly<Record<string, string>>;
}

const dockerHub = new Set(['docker.io', 'registry-1.docker.io', 'index.docker.io']);
const dockerHubKey = 'https://index.docker.io/v1/';

/** What a registry's login is kept under. */
export const keyOf = (host: string): string => (dockerHub.has(host) ? dockerHubKey : host);

/** Every way that docker and others have written it. */
export const keysOf = (host: string): string[] =>
  dockerHub.has(host)
    ? [dockerHubKey, 'index.docker.io', 'docker.io', 'registry-1.docker.io']
    : [host, `https://${host}`, `http://${host}`, `https://${host}/v2/`, `https://${host}/`];

/** `$DOCKER_CONFIG/config.json`, default ~/.docker. */
export const configFile = (env: Environment): string =>
  join(env.DOCKER_CONFIG ?? join(env.HOME ?? homedir(), '.docker'), 'config.json');

/** Empty when there is none, or it may not be read. @throws invalid_argument when it is not JSON */
export function readDockerConfig(file: string): DockerConfig {
  const raw = readRaw(file);
  return {
    auths: tableOf<DockerAuth>(raw.auths),
    credsStore: typeof raw.credsStore === 'string' && raw.credsStore !== '' ? raw.credsStore : undefined,
    credHelpers: tableOf<string>(raw.credHelpers),
  };
}

/**
 * Sets or (undefined) removes logins. The file is replaced whole, with mode 0600 from its first byte, and what else is
 * in it is kept. @throws invalid_argument when it is not JSON, which is left as it is
 */
export function changeAuths(file: string, change: Readonly<Record<string, DockerAuth | undefined>>): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const target = targetOf(file);
  const raw = readRaw(target, true);
  const auths = Object.entries({ ...tableOf<DockerAuth>(raw.auths), ...change });
  const kept = Object.fromEntries(auths.filter(([, auth]) => auth !== undefined));
  replace(target, `${JSON.stringify({ ...raw, auths: kept }, null, '\t')}\n`);
}

/** A link stays one: what it points at is replaced. */
function targetOf(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}

function replace(file: string, text: string): void {
  const temporary = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    const fd = openSync(temporary, 'wx', 0o600);
    try {
      writeSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function readRaw(file: string, mustBeReadable = false): Readonly<Record<string, unknown>> {
  try {
    if (statSync(file).size > limitBytes) throw invalidArgument(`${file} is larger than ${limitBytes} bytes`);
    const text = readFileSync(file, 'utf8');
    return text.trim() === '' ? {} : tableOf<unknown>(JSON.parse(text));
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || (codeOf(error) === 'EACCES' && !mustBeReadable)) return {};
    if (error instanceof SyntaxError) throw invalidArgument(`${file} is not JSON`, error);
    throw error;
  }
}

const tableOf = <T>(value: unknown): Readonly<Record<string, T>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, T>) : {};

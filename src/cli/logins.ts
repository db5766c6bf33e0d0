import { eraseByHelper, storeByHelper } from './credential-helper.ts';
import { helperFor } from './credentials.ts';
import { changeAuths, configFile, keyOf, keysOf, readDockerConfig } from './docker-config.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Keeps a login where docker does: with the credential helper that config.json names, else in config.json.
 * @returns who keeps it, for people @throws invalid_argument (config.json is not JSON), not_found (no such helper)
 */
export async function keepLogin(
  host: string,
  { username, password }: { readonly username: string; readonly password: string },
  env: Environment,
): Promise<string> {
  const file = configFile(env);
  const helper = helperFor(readDockerConfig(file), host);
  if (helper === undefined) {
    changeAuths(file, { [keyOf(host)]: { auth: Buffer.from(`${username}:${password}`).toString('base64') } });
    return `${file}, not encrypted`;
  }
  await storeByHelper(helper, keyOf(host), { Username: username, Secret: password });
  changeAuths(file, { [keyOf(host)]: {} });
  return `docker-credential-${helper}`;
}

/** Forgets a login, in whatever spelling it was kept. False when there was none. @throws as {@link keepLogin} */
export async function dropLogin(host: string, env: Environment): Promise<boolean> {
  const file = configFile(env);
  const config = readDockerConfig(file);
  const helper = helperFor(config, host);
  if (helper !== undefined) await eraseByHelper(helper, keyOf(host));
  const kept = keysOf(host).filter((key) => Object.hasOwn(config.auths, key));
  if (kept.length > 0) changeAuths(file, Object.fromEntries(kept.map((key) => [key, undefined])));
  return kept.length > 0;
}

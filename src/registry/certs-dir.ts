import { readdir } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { invalidArgument } from '../errors/error.ts';
import type { TlsSettings } from './host.ts';
import { readSettingsFile } from './settings-file.ts';

const pemLimitBytes = 4 * 1024 * 1024;

/**
 * Docker's certs.d layout: `*.crt` are authorities, `*.cert` client certificates with a `*.key` of the same name.
 * Undefined when the folder holds neither. @throws invalid_argument naming the file
 */
export async function readCertsDir(dir: string): Promise<TlsSettings | undefined> {
  const names = (await readdir(dir)).sort();
  const ca = await Promise.all(
    names.filter((name) => name.endsWith('.crt')).map((name) => readPem(dir, name)),
  );
  const client = await Promise.all(
    names.filter((name) => name.endsWith('.cert')).map((name) => readPair(dir, name, keyName(names, name))),
  );
  return ca.length + client.length === 0 ? undefined : { ca, client, skipVerify: false };
}

function keyName(names: readonly string[], cert: string): string {
  const key = cert.replace(/\.cert$/, '.key');
  return names.includes(key) ? key : cert;
}

/** A client certificate and its key; one file may hold both. @throws invalid_argument */
export async function readPair(
  dir: string,
  cert: string,
  key: string,
): Promise<{ cert: string; key: string }> {
  return { cert: await readPem(dir, cert), key: await readPem(dir, key === '' ? cert : key) };
}

/** A PEM file, `name` relative to `dir` unless absolute. @throws invalid_argument */
export async function readPem(dir: string, name: string): Promise<string> {
  const path = isAbsolute(name) ? name : join(dir, name);
  const text = await readSettingsFile(path, pemLimitBytes);
  if (text.includes('-----BEGIN ')) return text;
  throw invalidArgument(`${path}: not a PEM file`);
}

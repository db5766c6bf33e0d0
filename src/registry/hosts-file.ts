import { dirname } from 'node:path';
import { parse, TomlError, type TomlTable } from 'smol-toml';
import { invalidArgument, messageOf } from '../errors/error.ts';
import { readPair, readPem } from './certs-dir.ts';
import {
  allCapabilities,
  type Capability,
  defaultTls,
  originOf,
  type RegistryHost,
  type TlsSettings,
} from './host.ts';
import { readSettingsFile } from './settings-file.ts';

const limits = { fileBytes: 1024 * 1024, hosts: 64 } as const;

/**
 * Reads a hosts.toml (containerd docs/hosts.md): its mirrors in file order, then its server, which is `fallback` when
 * the file names none. @throws invalid_argument `<file>:<line>: …`
 */
export async function readHostsFile(file: string, fallback: RegistryHost): Promise<RegistryHost[]> {
  const text = await readSettingsFile(file, limits.fileBytes);
  const doc = new HostsDocument(file, text);
  const mirrors = Object.entries(doc.table(doc.root, 'host')).slice(0, limits.hosts);
  const hosts: RegistryHost[] = [];
  for (const [url, table] of inFileOrder(text, mirrors)) hosts.push(await doc.host(url, table, fallback));
  hosts.push(withoutRepeats(await doc.server(fallback), hosts));
  return hosts;
}

/**
 * A host table that names the server itself carries its settings (the usual way to give it a CA): the server is not
 * asked a second time, without them, for what that table is for, where its refusal would hide the first one.
 */
function withoutRepeats(server: RegistryHost, hosts: readonly RegistryHost[]): RegistryHost {
  const same = hosts.filter((host) => originOf(host) === originOf(server) && host.path === server.path);
  const asked = new Set(same.flatMap(({ capabilities }) => [...capabilities]));
  return { ...server, capabilities: new Set([...server.capabilities].filter((c) => !asked.has(c))) };
}

/** Keys that look like numbers would come first in a JS object; where each one stands in the text decides. */
function inFileOrder<T>(text: string, entries: [string, T][]): [string, T][] {
  return entries.toSorted(([a], [b]) => text.indexOf(a) - text.indexOf(b));
}

class HostsDocument {
  readonly root: TomlTable;
  readonly #file: string;
  readonly #text: string;

  constructor(file: string, text: string) {
    this.#file = file;
    this.#text = text;
    this.root = this.#parse();
  }

  #parse(): TomlTable {
    try {
      return parse(this.#text);
    } catch (error) {
      const line = error instanceof TomlError ? error.line : 1;
      throw invalidArgument(`${this.#file}:${line}: ${messageOf(error).split('\n', 1)[0]}`, error);
    }
  }

  table(parent: TomlTable, key: string): TomlTable {
    const value = parent[key] ?? {};
    return isTable(value) ? value : this.#fail(key, `${key} must be a table`);
  }

  async server(fallback: RegistryHost): Promise<RegistryHost> {
    const server = this.#string(this.root, 'server');
    return this.host(server ?? '', this.root, fallback);
  }

  async host(url: string, value: unknown, fallback: RegistryHost): Promise<RegistryHost> {
    const table = isTable(value) ? value : this.#fail(url, `host ${url} must be a table`);
    return {
      ...(url === '' ? fallback : this.#place(url, table)),
      capabilities: this.#capabilities(table),
      headers: this.#headers(table),
      tls: await this.#tls(table),
      dialTimeoutMs: this.#duration(table) ?? fallback.dialTimeoutMs,
    };
  }

  #place(text: string, table: TomlTable): Pick<RegistryHost, 'scheme' | 'authority' | 'path'> {
    const full = /^https?:\/\//.test(text) ? text : `https://${text}`;
    const url = URL.canParse(full)
      ? new URL(full)
      : this.#fail(text, `${JSON.stringify(text)} is no host or URL`);
    if (url.username !== '' || url.search !== '' || url.hash !== '')
      this.#fail(text, `${JSON.stringify(text)} must not carry a user, query or fragment`);
    const path = url.pathname.replace(/\/+$/, '');
    const override = this.#boolean(table, 'override_path');
    const scheme = url.protocol === 'http:' ? 'http' : 'https';
    return { scheme, authority: url.host, path: override || path.endsWith('/v2') ? path : `${path}/v2` };
  }

  #capabilities(table: TomlTable): ReadonlySet<Capability> {
    const names = this.#strings(table, 'capabilities').map((name) => name.toLowerCase());
    const bad = names.find((name) => !allCapabilities.has(name as Capability));
    if (bad !== undefined)
      this.#fail(
        bad,
        `unknown capability ${JSON.stringify(bad)}, allowed: ${[...allCapabilities].join(', ')}`,
      );
    return names.length === 0 ? allCapabilities : new Set(names as Capability[]);
  }

  #headers(table: TomlTable): Record<string, string[]> {
    const header = this.table(table, 'header');
    const entries = Object.keys(header).map((name): [string, string[]] => {
      if (!/^[!#$%&'*+\-.^_`|~\w]+$/.test(name))
        this.#fail(name, `${JSON.stringify(name)} is no header name`);
      return [name.toLowerCase(), this.#strings(header, name)];
    });
    return Object.fromEntries(entries);
  }

  async #tls(table: TomlTable): Promise<TlsSettings> {
    const dir = dirname(this.#file);
    const ca = this.#strings(table, 'ca').map((path) => readPem(dir, path));
    const client = this.#pairs(table).map(([cert, key]) => readPair(dir, cert, key));
    const skipVerify = this.#boolean(table, 'skip_verify');
    if (ca.length + client.length === 0 && !skipVerify) return defaultTls;
    return { ca: await Promise.all(ca), client: await Promise.all(client), skipVerify };
  }

  #pairs(table: TomlTable): [string, string][] {
    const value = table.client ?? [];
    const list = typeof value === 'string' ? [value] : Array.isArray(value) ? value : [null];
    return list.map((entry): [string, string] => {
      if (typeof entry === 'string') return [entry, ''];
      const [cert, key, ...more] = Array.isArray(entry) ? entry : [];
      if (typeof cert === 'string' && typeof key === 'string' && more.length === 0) return [cert, key];
      return this.#fail('client', 'client must be a path, a list of paths or a list of [cert, key]');
    });
  }

  #duration(table: TomlTable): number | undefined {
    const text = this.#string(table, 'dial_timeout');
    if (text === undefined) return undefined;
    const ms = parseDuration(text);
    return (
      ms ??
      this.#fail(
        'dial_timeout',
        `dial_timeout ${JSON.stringify(text)} is no duration such as "1s" or "500ms"`,
      )
    );
  }

  #string(table: TomlTable, key: string): string | undefined {
    const value = table[key];
    if (value === undefined || typeof value === 'string') return value;
    return this.#fail(key, `${key} must be a string`);
  }

  #boolean(table: TomlTable, key: string): boolean {
    const value = table[key] ?? false;
    return typeof value === 'boolean' ? value : this.#fail(key, `${key} must be true or false`);
  }

  /** A string or an array of strings. */
  #strings(table: TomlTable, key: string): string[] {
    const value = table[key] ?? [];
    const list: unknown[] = Array.isArray(value) ? value : [value];
    if (list.every((entry) => typeof entry === 'string')) return list;
    return this.#fail(key, `${key} must be a string or a list of strings`);
  }

  #fail(near: string, message: string): never {
    const at = this.#text.indexOf(near);
    const line = at < 0 ? 1 : this.#text.slice(0, at).split('\n').length;
    throw invalidArgument(`${this.#file}:${line}: ${message}`);
  }
}

const isTable = (value: unknown): value is TomlTable =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A Go duration of whole or decimal parts (`1m30s`) in milliseconds, from 1 ms to an hour. */
export function parseDuration(text: string): number | undefined {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(text)) return undefined;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  const ms = parts.reduce((sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ''] ?? 0), 0);
  return ms >= 1 && ms <= 3_600_000 ? ms : undefined;
}

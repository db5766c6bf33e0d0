import { invalidArgument } from '../errors/error.ts';
import { type Digest, isDigest } from './digest.ts';

/** The canonical text of a reference, `host[:port]/path[:tag][@digest]`. Made by {@link formatReference} only. */
export type ReferenceText = string & { readonly __brand: 'ReferenceText' };

/** A parsed image reference (distribution's grammar). Neither tag nor digest: the whole repository. */
export interface Reference {
  /** Registry host as written, with its port: `docker.io`, `localhost:5000`, `[::1]:5000`. */
  readonly domain: string;
  /** Repository path, lower case, at most 255 characters. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const maxPathLength = 255;
const maxTextLength = 1024;
const dockerDomain = 'docker.io';
const domainPart = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const domainPattern = new RegExp(`^(?:${domainPart}(?:\\.${domainPart})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`);
const pathPartPattern = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
const tagPattern = /^\w[\w.-]{0,127}$/;

/**
 * Parses a reference that names its registry: the first component is always the host.
 * @throws invalid_argument naming what is wrong
 */
export function parseReference(text: string): Reference {
  if (/^(?:\.{0,2}\/|~)/.test(text)) throw bad(text, 'is a path: an archive is loaded, not pulled');
  const { name, tag, digest } = split(text);
  const slash = name.indexOf('/');
  if (slash < 0) throw bad(text, 'has no registry host');
  const domain = name.slice(0, slash);
  const path = name.slice(slash + 1);
  check(text, domain, path, tag);
  return {
    domain,
    path,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/**
 * Parses what people type: `redis` is `docker.io/library/redis`, `me/app` is `docker.io/me/app`. Adds no tag.
 * @throws invalid_argument; also for 64 hexadecimal digits, which would be an id
 */
export function parseFamiliar(text: string): Reference {
  if (/^(?:\.{0,2}\/|~)/.test(text)) return parseReference(text);
  if (/^[a-f0-9]{64}$/.test(text)) throw bad(text, 'is an id, not a name');
  return parseReference(hasDomain(text) ? canonicalDomain(text) : `${dockerDomain}/${libraryPath(text)}`);
}

/** `latest` is added when there is neither tag nor digest. */
export const withDefaultTag = (reference: Reference): Reference =>
  reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: 'latest' } : reference;

/** Canonical text of what people type, with the default tag: `redis` → `docker.io/library/redis:latest`. @throws invalid_argument */
export const normalizeReference = (text: string): ReferenceText =>
  formatReference(withDefaultTag(parseFamiliar(text)));

/** `host/path[:tag][@digest]`. */
export function formatReference({ domain, path, tag, digest }: Reference): ReferenceText {
  const end = (tag === undefined ? '' : `:${tag}`) + (digest === undefined ? '' : `@${digest}`);
  return `${domain}/${path}${end}` as ReferenceText;
}

/** The shortest text that {@link parseFamiliar} reads as the same reference: `redis:7`. */
export function familiarReference(reference: Reference): string {
  const text: string = formatReference(reference);
  if (reference.domain !== dockerDomain) return text;
  const short = text.slice(dockerDomain.length + 1);
  const single = reference.path.startsWith('library/') && !reference.path.slice(8).includes('/');
  return single ? short.slice('library/'.length) : short;
}

function split(text: string): { name: string; tag: string | undefined; digest: Digest | undefined } {
  if (text.length > maxTextLength) throw bad(text, 'is too long');
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest)) throw bad(text, 'has an invalid digest');
  const head = at < 0 ? text : text.slice(0, at);
  const colon = head.indexOf(':', head.lastIndexOf('/') + 1);
  if (colon < 0) return { name: head, tag: undefined, digest };
  return { name: head.slice(0, colon), tag: head.slice(colon + 1), digest };
}

function check(text: string, domain: string, path: string, tag: string | undefined): void {
  if (!domainPattern.test(domain)) throw bad(text, 'has an invalid registry host');
  if (path.length > maxPathLength) throw bad(text, `has a repository name over ${maxPathLength} characters`);
  if (path !== path.toLowerCase()) throw bad(text, 'must have a lower-case repository name');
  if (!path.split('/').every((part) => pathPartPattern.test(part)))
    throw bad(text, 'has an invalid repository name');
  if (tag !== undefined && !tagPattern.test(tag)) throw bad(text, 'has an invalid tag');
}

function hasDomain(text: string): boolean {
  const slash = text.indexOf('/');
  if (slash < 0) return false;
  const first = text.slice(0, slash);
  return /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
}

function canonicalDomain(text: string): string {
  const rest = text.replace(/^(?:index\.)?docker\.io\//, '');
  return rest === text ? text : `${dockerDomain}/${libraryPath(rest)}`;
}

const libraryPath = (path: string): string =>
  path.split('@', 1)[0]?.includes('/') ? path : `library/${path}`;

const bad = (text: string, why: string) =>
  invalidArgument(`reference ${JSON.stringify(text.slice(0, 100))} ${why}`);

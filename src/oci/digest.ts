import { createHash } from 'node:crypto';
import { invalidArgument } from '../errors/error.ts';

/** `sha256:<64 hex>` or `sha512:<128 hex>`: a digest of bytes as stored (compressed). Made by {@link parseDigest} only. */
export type Digest = string & { readonly __brand: 'Digest' };
/** Digest of an uncompressed layer. */
export type DiffId = Digest & { readonly __diffId: true };
/** Identity of a stack of layers (image-spec config.md, "Layer ChainID"). */
export type ChainId = string & { readonly __brand: 'ChainId' };

/** Hashes that digests may be of. */
export type DigestAlgorithm = 'sha256' | 'sha512';

const pattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** @throws invalid_argument naming `text` (cut to 100 characters). Used before any path or URL is made of it. */
export function parseDigest(text: unknown): Digest {
  if (typeof text === 'string' && pattern.test(text)) return text as Digest;
  throw invalidArgument(`invalid digest ${JSON.stringify(String(text).slice(0, 100))}`);
}

export const isDigest = (text: unknown): text is Digest => typeof text === 'string' && pattern.test(text);
export const algorithmOf = (digest: Digest): DigestAlgorithm =>
  digest.startsWith('sha256:') ? 'sha256' : 'sha512';
export const hexOf = (digest: Digest): string => digest.slice(7);

/** Digest of bytes that are all here. Default: sha256. */
export function digestBytes(bytes: Uint8Array | string, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest;
}

/** The same text rules as {@link parseDigest}, for the digest of an uncompressed layer. @throws invalid_argument */
export const parseDiffId = (text: unknown): DiffId => parseDigest(text) as DiffId;

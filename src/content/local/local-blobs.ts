import { constants, fstatSync } from 'node:fs';
import { access, chmod, mkdir, open, opendir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, invalidArgument, notFound } from '../../errors/error.ts';
import { algorithmOf, type Digest, hexOf, isDigest } from '../../oci/digest.ts';
import type { BlobIngest, Blobs } from '../blobs.ts';
import type { ContentReader } from '../store.ts';
import { LocalIngest } from './blob-ingest.ts';
import { DirectorySync, syncDirectory } from './directory-sync.ts';
import { HashThread } from './hash-thread.ts';
import { openBlob } from './open-blob.ts';

const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
const algorithms = ['sha256', 'sha512'] as const;

/**
 * Blobs as files: `blobs/<algorithm>/<hex>` (0444) and `ingest/<key>` (0600) under `root`, directories 0700.
 * A file gets its digest's name only after its bytes are verified and durable, so whatever `blobs/` holds is whole.
 */
export async function openLocalBlobs(root: string): Promise<Blobs> {
  for (const directory of ['.', 'ingest', 'blobs', ...algorithms.map((name) => join('blobs', name))]) {
    const path = join(root, directory);
    await mkdir(path, { recursive: true, mode: 0o700 });
    await chmod(path, 0o700);
  }
  await syncDirectory(join(root, 'blobs'));
  await syncDirectory(root);
  return new LocalBlobs(root);
}

class LocalBlobs implements Blobs {
  readonly #root: string;
  readonly #hashThread = new HashThread();
  readonly #directories: Readonly<Record<(typeof algorithms)[number], DirectorySync>>;

  constructor(root: string) {
    this.#root = root;
    this.#directories = {
      sha256: new DirectorySync(join(root, 'blobs', 'sha256')),
      sha512: new DirectorySync(join(root, 'blobs', 'sha512')),
    };
  }

  async has(digest: Digest): Promise<boolean> {
    try {
      await access(this.#blobPath(digest));
      return true;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false;
      throw error;
    }
  }

  async stat(digest: Digest): Promise<{ sizeBytes: number; modifiedAt: Date }> {
    const { size, mtime } = await absentIs(stat(this.#blobPath(digest)), digest);
    return { sizeBytes: size, modifiedAt: mtime };
  }

  async open(digest: Digest): Promise<ContentReader> {
    return absentIs((async () => openBlob(this.#blobPath(digest)))(), digest);
  }

  async delete(digest: Digest): Promise<void> {
    await rm(this.#blobPath(digest), { force: true });
    await this.#directories[algorithmOf(digest)].sync();
  }

  async *walk(): AsyncIterable<{ digest: Digest; sizeBytes: number }> {
    for (const algorithm of algorithms) {
      for await (const { name } of await opendir(join(this.#root, 'blobs', algorithm))) {
        const digest = `${algorithm}:${name}`;
        if (!isDigest(digest)) continue;
        const found = await stat(this.#blobPath(digest)).catch(() => undefined);
        if (found) yield { digest, sizeBytes: found.size };
      }
    }
  }

  async ingest(key: string): Promise<BlobIngest> {
    const path = this.#ingestPath(key);
    const file = await open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
    try {
      // At once: what is open is in memory, and a trip to another thread takes far longer.
      return new LocalIngest(file, fstatSync(file.fd), this.#hashThread, (digest) =>
        this.#adopt(path, digest),
      );
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async findIngest(key: string): Promise<{ offset: number; startedAt: Date; updatedAt: Date } | undefined> {
    try {
      const { size, birthtime, mtime } = await stat(this.#ingestPath(key));
      return { offset: size, startedAt: birthtime, updatedAt: mtime };
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  async abortIngest(key: string): Promise<void> {
    await rm(this.#ingestPath(key), { force: true, recursive: true });
  }

  async *walkIngests(): AsyncIterable<string> {
    for await (const { name } of await opendir(join(this.#root, 'ingest'))) {
      if (keyPattern.test(name)) yield name;
    }
  }

  /** Rename replaces a blob of the same digest with the same bytes; readers of the old file keep it. */
  async #adopt(path: string, digest: Digest): Promise<void> {
    if (await this.has(digest)) await rm(path, { force: true });
    else await rename(path, this.#blobPath(digest));
    await this.#directories[algorithmOf(digest)].sync();
  }

  #blobPath(digest: Digest): string {
    return join(this.#root, 'blobs', algorithmOf(digest), hexOf(digest));
  }

  #ingestPath(key: string): string {
    if (!keyPattern.test(key))
      throw invalidArgument(`invalid ingest key ${JSON.stringify(key.slice(0, 100))}`);
    return join(this.#root, 'ingest', key);
  }
}

const keyPattern = /^[A-Za-z0-9_-]{1,128}$/;

async function absentIs<T>(operation: Promise<T>, digest: Digest): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ELOOP') {
      throw notFound(`content ${digest}: not found`, error);
    }
    throw error;
  }
}

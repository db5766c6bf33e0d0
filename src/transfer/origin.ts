import type { Context } from '../async/context.ts';
import { isKind } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { labelNames } from '../oci/label-names.ts';
import { manifestLimitBytes } from '../oci/manifest.ts';
import type { Reference } from '../oci/reference.ts';
import { fetchBlob } from '../registry/blobs.ts';
import { fetchManifest } from '../registry/manifests.ts';
import type { RegistrySession } from '../registry/session.ts';
import { checkBytes } from '../registry/verify.ts';
import { addLabels, readBlob } from './blobs.ts';
import { sourceLabel } from './labels.ts';
import type { TransferParts } from './parts.ts';

/** Where a delivery takes its content from: the content store, or another registry. */
export interface Origin {
  has(ctx: Context, descriptor: Descriptor): Promise<boolean>;
  /** All bytes of a manifest or index, verified. @throws not_found, resource_exhausted, … */
  document(ctx: Context, descriptor: Descriptor): Promise<Uint8Array>;
  read(ctx: Context, descriptor: Descriptor, offset: number, end: number): AsyncIterable<Uint8Array>;
  /** Repositories of the registry of `to` that are known to have the blob, the nearest name first. */
  mountFrom(ctx: Context, descriptor: Descriptor, to: Reference): Promise<string[]>;
  /** Notes that the repository of `to` has the blob now. */
  delivered(ctx: Context, descriptor: Descriptor, to: Reference): Promise<void>;
}

/** Content that is here. */
export function localOrigin({ content }: Pick<TransferParts, 'content'>): Origin {
  const find = async (ctx: Context, { digest }: Descriptor) => {
    try {
      return await content.info(ctx, digest);
    } catch (error) {
      if (isKind(error, 'not_found')) return undefined;
      throw error;
    }
  };
  return {
    has: async (ctx, descriptor) => (await find(ctx, descriptor)) !== undefined,
    async document(ctx, descriptor) {
      const bytes = await readBlob(content, ctx, descriptor, manifestLimitBytes);
      checkBytes(bytes, descriptor);
      return bytes;
    },
    async *read(ctx, { digest }, offset, end) {
      await using reader = await content.reader(ctx, digest);
      yield* reader.stream(offset, end);
    },
    async mountFrom(ctx, descriptor, to) {
      const labels = (await find(ctx, descriptor))?.labels ?? {};
      const known = labels[`${labelNames.sourcePrefix}${to.domain.replace(/:\d+$/, '')}`] ?? '';
      return nearestFirst(known.split(','), to.path);
    },
    async delivered(ctx, descriptor, to) {
      const info = await find(ctx, descriptor);
      if (info !== undefined)
        await addLabels(content, ctx, descriptor.digest, sourceLabel(to, info.labels) ?? {});
    },
  };
}

/** Content of another registry, which passes through without being stored. */
export function remoteOrigin(session: RegistrySession): Origin {
  const { domain, path } = session.reference;
  return {
    has: async () => true,
    document: (ctx, descriptor) => fetchManifest(ctx, session, descriptor),
    async *read(ctx, descriptor, offset, end) {
      let left = end - offset;
      for await (const chunk of fetchBlob(ctx, session, descriptor, offset)) {
        yield chunk.subarray(0, left);
        left -= chunk.byteLength;
        if (left <= 0) return;
      }
    },
    mountFrom: async (_ctx, _descriptor, to) => (to.domain === domain ? nearestFirst([path], to.path) : []),
    delivered: async () => {},
  };
}

/** Without `path` itself and doubles; those that begin like it are likeliest to be open to who may push to it. */
function nearestFirst(repositories: readonly string[], path: string): string[] {
  const shared = (other: string) => {
    const parts = other.split('/');
    const differs = path.split('/').findIndex((part, i) => part !== parts[i]);
    return differs < 0 ? parts.length : differs;
  };
  const others = new Set(repositories.filter((repository) => repository !== '' && repository !== path));
  return [...others].toSorted((a, b) => shared(b) - shared(a));
}

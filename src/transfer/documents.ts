import type { Context } from '../async/context.ts';
import { failedPrecondition, isKind, resourceExhausted } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { configLimitBytes, type ImageConfig, parseImageConfig } from '../oci/image-config.ts';
import { type Index, type Manifest, manifestLimitBytes, parseManifest } from '../oci/manifest.ts';
import type { Reference } from '../oci/reference.ts';
import { type BlobFile, fetchBlob } from '../registry/blobs.ts';
import { fetchManifest } from '../registry/manifests.ts';
import { isOffered } from '../registry/offered.ts';
import type { RegistrySession } from '../registry/session.ts';
import { ensureBlob, readBlob, type Source } from './blobs.ts';
import { childLabels } from './labels.ts';
import type { TransferParts } from './parts.ts';
import type { Customer } from './progress.ts';

/** Where a plan reads its documents: the content store, with or without a registry behind it. */
export interface Documents {
  /** @throws not_found, invalid_argument, and what the registry answers */
  document(ctx: Context, descriptor: Descriptor, parent?: Descriptor): Promise<Manifest | Index>;
  config(ctx: Context, descriptor: Descriptor, parent?: Descriptor): Promise<ImageConfig>;
}

/** Documents that are already in the content store. */
export function localDocuments({ content }: Pick<TransferParts, 'content'>): Documents {
  return {
    async document(ctx, descriptor) {
      const bytes = await readChecked(content, ctx, descriptor, manifestLimitBytes);
      return parseManifest(bytes, descriptor.mediaType);
    },
    config: async (ctx, descriptor) =>
      parseImageConfig(await readChecked(content, ctx, descriptor, configLimitBytes)),
  };
}

/**
 * Documents out of the content store, else out of a registry and into the store with their labels. A document is parsed
 * before it is stored, so what makes no sense never gets there.
 */
export class RemoteDocuments implements Documents {
  readonly #parts: TransferParts;
  readonly #session: RegistrySession;
  readonly #customer: Customer;
  /** Bytes that resolving has already brought. */
  readonly #seen = new Map<Digest, Uint8Array>();

  constructor(parts: TransferParts, session: RegistrySession, customer: Customer) {
    this.#parts = parts;
    this.#session = session;
    this.#customer = customer;
  }

  remember(digest: Digest, bytes: Uint8Array): void {
    this.#seen.set(digest, bytes);
  }

  async document(ctx: Context, descriptor: Descriptor, parent?: Descriptor): Promise<Manifest | Index> {
    const stored = this.#seen.get(descriptor.digest) ?? (await this.#stored(ctx, descriptor));
    const bytes = stored ?? (await fetchManifest(ctx, this.#session, descriptor));
    const document = parseManifest(bytes, descriptor.mediaType);
    const labels = childLabels(document);
    // The root has just been resolved: the registry has said that it is to be had.
    const known = stored === undefined || parent === undefined;
    await this.#ensure(ctx, descriptor, parent, labels, bytesAs(bytes, known ? undefined : this.#session));
    return document;
  }

  async config(ctx: Context, descriptor: Descriptor, parent?: Descriptor): Promise<ImageConfig> {
    refuseLarge(descriptor, configLimitBytes);
    await this.#ensure(ctx, descriptor, parent, {}, sourceOf(this.#session));
    return parseImageConfig(await readBlob(this.#parts.content, ctx, descriptor, configLimitBytes));
  }

  async #stored(ctx: Context, descriptor: Descriptor): Promise<Uint8Array | undefined> {
    try {
      return await readChecked(this.#parts.content, ctx, descriptor, manifestLimitBytes);
    } catch (error) {
      if (isKind(error, 'not_found')) return undefined;
      throw error;
    }
  }

  #ensure(
    ctx: Context,
    descriptor: Descriptor,
    parent: Descriptor | undefined,
    labels: Readonly<Record<string, string>>,
    source: Source,
  ): Promise<void> {
    const reference: Reference = this.#session.reference;
    return ensureBlob(
      this.#parts,
      ctx,
      { descriptor, reference, parent, labels, customer: this.#customer },
      source,
    );
  }
}

/** Blobs out of a registry, for {@link ensureBlob}. */
export const sourceOf = (session: RegistrySession): Source =>
  Object.assign(
    (ctx: Context, descriptor: Descriptor, offset: number, file?: BlobFile) =>
      fetchBlob(ctx, session, descriptor, offset, file),
    { doubt: ({ digest }: Descriptor) => session.doubtRanges(digest), offers: offersOf(session) },
  );

/** Bytes that are in memory; `session` is to be asked whether they may be had. */
function bytesAs(bytes: Uint8Array, session: RegistrySession | undefined): Source {
  async function* source(_ctx: Context, _descriptor: Descriptor, offset: number) {
    yield bytes.subarray(offset);
  }
  return session === undefined ? source : Object.assign(source, { offers: offersOf(session) });
}

const offersOf = (session: RegistrySession) => (ctx: Context, descriptor: Descriptor) =>
  isOffered(ctx, session, descriptor);

async function readChecked(
  content: TransferParts['content'],
  ctx: Context,
  descriptor: Descriptor,
  limitBytes: number,
): Promise<Uint8Array> {
  refuseLarge(descriptor, limitBytes);
  const bytes = await readBlob(content, ctx, descriptor, limitBytes);
  if (bytes.byteLength === descriptor.size) return bytes;
  throw failedPrecondition(
    `${descriptor.digest}: has ${bytes.byteLength} bytes, described with ${descriptor.size}`,
  );
}

function refuseLarge({ digest, size }: Descriptor, limitBytes: number): void {
  if (size > limitBytes) throw resourceExhausted(`${digest}: ${size} bytes, at most ${limitBytes} are read`);
}

import type { Context } from '../async/context.ts';
import { isKind } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { manifestLimitBytes } from '../oci/manifest.ts';
import { fetchBlob } from '../registry/blobs.ts';
import { fetchManifest } from '../registry/manifests.ts';
import type { TransferParts } from './parts.ts';
import { openSession } from './registry-endpoint.ts';

const silent = () => {};

/**
 * The bytes of something that a repository (`host/path`) is known to have: a blob, or else a manifest. Not verified.
 * @throws not_found, unauthenticated, unavailable
 */
export async function* refetch(
  parts: TransferParts,
  ctx: Context,
  repository: string,
  descriptor: Descriptor,
): AsyncGenerator<Uint8Array> {
  const reference = `${repository}@${descriptor.digest}`;
  const session = await openSession(parts, { reference }, { actions: 'pull', report: silent });
  try {
    yield* fetchBlob(ctx, session, descriptor);
  } catch (error) {
    if (!isKind(error, 'not_found') || descriptor.size > manifestLimitBytes) throw error;
    yield await fetchManifest(ctx, session, descriptor);
  }
}

import type { Context } from '../async/context.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { isDigest } from '../oci/digest.ts';
import { isIndexType, isManifestType } from '../oci/media-types.ts';
import { discard, statusError } from './failure.ts';
import type { RegistryHost } from './host.ts';
import { defaultRetry, type RetryPolicy } from './retry.ts';
import type { RegistrySession } from './session.ts';

/**
 * Whether the session's repository has a blob, manifest or index on `host`. `object` is the name to ask a manifest by
 * (default: its digest); a tag that points at something else counts as not there.
 * @throws unauthenticated, permission_denied, unavailable
 */
export async function existsAt(
  ctx: Context,
  session: RegistrySession,
  host: RegistryHost,
  { digest, mediaType }: Descriptor,
  object: string = digest,
  retry: RetryPolicy = defaultRetry,
): Promise<boolean> {
  const isManifest = isManifestType(mediaType) || isIndexType(mediaType);
  const what = `${isManifest ? 'manifest' : 'blob'} ${digest}`;
  const path = isManifest ? `/manifests/${object}` : `/blobs/${digest}`;
  const headers = { accept: [mediaType, '*/*'].join(', ') };
  const response = await session.send(ctx, host, { method: 'HEAD', path, headers, what }, retry);
  if (response.status !== 200 && response.status !== 404) throw await statusError(response, what);
  discard(response);
  const answered = response.headers['docker-content-digest'];
  if (object !== digest) return response.status === 200 && answered === digest;
  return response.status === 200 && (!isDigest(answered) || answered === digest);
}

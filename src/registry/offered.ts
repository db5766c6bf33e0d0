import type { Context } from '../async/context.ts';
import { isKind, notFound } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { existsAt } from './exists.ts';
import { openBlob } from './open-blob.ts';
import type { RegistrySession } from './session.ts';

/**
 * Whether the registry lets this session have what is on this machine already, from another repository or another
 * client (CVE-2014-8178 and the ambiguous pull by digest): asked of each host until one says yes. It proves what an
 * honest registry allows, not that a lying one has the bytes.
 * @throws unauthenticated, permission_denied, unavailable
 */
export async function isOffered(
  ctx: Context,
  session: RegistrySession,
  descriptor: Descriptor,
): Promise<boolean> {
  try {
    await session.onHosts(ctx, 'pull', async (host, retry) => {
      if (await existsAt(ctx, session, host, descriptor, descriptor.digest, retry)) return;
      throw notFound(`${descriptor.digest}: not found`);
    });
    return true;
  } catch (error) {
    const elsewhere = isKind(error, 'not_found') && descriptor.urls !== undefined;
    if (elsewhere || isKind(error, 'invalid_argument')) return isOpened(ctx, session, descriptor);
    if (isKind(error, 'not_found')) return false;
    throw error;
  }
}

/** For layers that are kept elsewhere, and registries that know no HEAD: by the first byte. */
async function isOpened(ctx: Context, session: RegistrySession, descriptor: Descriptor): Promise<boolean> {
  try {
    const response = await openBlob(ctx, session, descriptor, { offset: 0, end: 1, etag: undefined });
    response.body.destroy();
    return true;
  } catch (error) {
    if (isKind(error, 'not_found')) return false;
    throw error;
  }
}

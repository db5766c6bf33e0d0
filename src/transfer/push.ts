import type { Context } from '../async/context.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Platform } from '../oci/platform.ts';
import { deliver } from './deliver.ts';
import { withLease } from './lease.ts';
import { localOrigin } from './origin.ts';
import type { TransferParts } from './parts.ts';
import type { TransferProgress } from './progress.ts';
import { openSession, type RegistryEndpoint } from './registry-endpoint.ts';
import { reporting } from './reporting.ts';

/** What to push, and where to. */
export interface PushRequest extends RegistryEndpoint {
  /** Name of the image record. */
  readonly image: string;
  /** Default: all that the image has. */
  readonly platforms?: readonly Platform[] | undefined;
}

/**
 * Pushes an image out of the image store. Yields progress and returns what the registry now has under the reference;
 * leaving the iteration or `ctx.signal` cancels it.
 * @throws not_found (image, content), invalid_argument, unauthenticated, permission_denied, unavailable, failed_precondition
 */
export function push(
  parts: TransferParts,
  ctx: Context,
  request: PushRequest,
): AsyncGenerator<TransferProgress, Descriptor, void> {
  return reporting(parts, ctx, { verb: 'push', name: request.reference }, (inner, report) =>
    withLease(parts.leases, inner, async (leased) => {
      const { target, name } = await parts.images.get(leased, request.image);
      await parts.leases.addResource(leased, leased.lease, { id: target.digest, type: 'content' });
      const session = await openSession(parts, request, { actions: 'pull,push', report });
      const origin = localOrigin(parts);
      const platforms = request.platforms?.length ? request.platforms : 'all';
      return deliver(parts, leased, { name, target, origin, session, platforms, report });
    }),
  );
}

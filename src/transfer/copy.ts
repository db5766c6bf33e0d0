import type { Context } from '../async/context.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Platform } from '../oci/platform.ts';
import { resolve } from '../registry/manifests.ts';
import { deliver } from './deliver.ts';
import { remoteOrigin } from './origin.ts';
import type { TransferParts } from './parts.ts';
import type { TransferProgress } from './progress.ts';
import { openSession, type RegistryEndpoint } from './registry-endpoint.ts';
import { reporting } from './reporting.ts';

/** What to copy, and where to. */
export interface CopyRequest {
  readonly from: RegistryEndpoint;
  readonly to: RegistryEndpoint;
  /** Default: all that the image has. */
  readonly platforms?: readonly Platform[] | undefined;
}

/**
 * Copies an image from one repository to another without storing it: what one registry can lend to the other name it
 * lends, the rest streams through. Yields progress and returns what the destination now has under the reference.
 * @throws not_found, invalid_argument, unauthenticated, permission_denied, unavailable, failed_precondition
 */
export function copy(
  parts: TransferParts,
  ctx: Context,
  { from, to, platforms }: CopyRequest,
): AsyncGenerator<TransferProgress, Descriptor, void> {
  return reporting(parts, ctx, { verb: 'copy', name: from.reference }, async (inner, report) => {
    const name = from.reference;
    report({ phase: 'resolving', name, offset: 0, total: 0 });
    const source = await openSession(parts, from, { actions: 'pull', report });
    const session = await openSession(parts, to, { actions: 'pull,push', report });
    const { descriptor: target } = await resolve(inner, source);
    report({ phase: 'resolved', name, descriptor: target, offset: 0, total: 0 });
    const wanted = platforms?.length ? platforms : 'all';
    const origin = remoteOrigin(source);
    return deliver(parts, inner, { name, target, origin, session, platforms: wanted, report });
  });
}

import type { Context } from '../async/context.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { parseReference } from '../oci/reference.ts';
import { checkLogin } from '../registry/check-login.ts';
import { resolve } from '../registry/manifests.ts';
import { listReferrers } from '../registry/referrers.ts';
import { listTags } from '../registry/tags.ts';
import type { TransferParts } from './parts.ts';
import { openSession, openSessionFor, type RegistryEndpoint } from './registry-endpoint.ts';

const asking = { actions: 'pull', report: () => {} } as const;

/** Whether a registry lets the caller in. @throws invalid_argument (no host), unauthenticated, permission_denied, unavailable */
export async function askLogin(
  parts: TransferParts,
  ctx: Context,
  host: string,
  endpoint: Omit<RegistryEndpoint, 'reference'>,
): Promise<void> {
  const { domain } = parseReference(`${host}/x`);
  await checkLogin(ctx, await openSessionFor(parts, { domain, path: '' }, endpoint, asking));
}

/** The tags of a repository, page by page. @throws invalid_argument, not_found, unauthenticated, permission_denied, unavailable */
export async function* askTags(
  parts: TransferParts,
  ctx: Context,
  endpoint: RegistryEndpoint,
): AsyncGenerator<string[], void, void> {
  yield* listTags(ctx, await openSession(parts, endpoint, asking));
}

/** What refers to an image, of one type or of all. @throws as {@link askTags} */
export async function askReferrers(
  parts: TransferParts,
  ctx: Context,
  endpoint: RegistryEndpoint,
  artifactType: string | undefined,
): Promise<Descriptor[]> {
  const session = await openSession(parts, endpoint, asking);
  const digest: Digest = session.reference.digest ?? (await resolve(ctx, session)).descriptor.digest;
  return listReferrers(ctx, session, digest, artifactType);
}

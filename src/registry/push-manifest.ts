import type { Context } from '../async/context.ts';
import { failedPrecondition } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { existsAt } from './exists.ts';
import { discard, printable, statusError } from './failure.ts';
import { addToReferrersTag } from './referrers.ts';
import type { RegistrySession } from './session.ts';

/** A manifest or index to bring to a registry whose parts are there already. */
export interface ManifestPush {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  /** Default: none, it is known by its digest. */
  readonly tag?: string | undefined;
  /** What the manifest says it refers to. */
  readonly subject?: Descriptor | undefined;
}

/**
 * Puts a manifest under its tag, or its digest, unless it is there, and sees to it that the referrers of its subject
 * name it. Idempotent.
 * @throws unauthenticated, permission_denied, unavailable, invalid_argument (parts are missing), failed_precondition
 */
export async function pushManifest(
  ctx: Context,
  session: RegistrySession,
  { descriptor, bytes, tag, subject }: ManifestPush,
): Promise<'exists' | 'uploaded'> {
  const host = session.pushHost;
  const object = tag ?? descriptor.digest;
  // With a subject it is put again: only the answer tells whether the registry keeps referrers by itself.
  if (subject === undefined && (await existsAt(ctx, session, host, descriptor, object, session.retry)))
    return 'exists';
  const what = `push manifest ${tag ?? descriptor.digest}`;
  const headers = { 'content-type': descriptor.mediaType, 'content-length': String(bytes.byteLength) };
  const call = { method: 'PUT', path: `/manifests/${object}`, headers, body: bytes, what } as const;
  const response = await session.send(ctx, host, call, session.retry);
  if (![200, 201, 202, 204].includes(response.status)) throw await statusError(response, what);
  discard(response);
  const answered = response.headers['docker-content-digest'];
  if (answered !== undefined && answered !== descriptor.digest)
    throw failedPrecondition(`${what}: registry took it as ${printable(String(answered))}`);
  if (subject !== undefined && response.headers['oci-subject'] === undefined)
    await addToReferrersTag(ctx, session, subject.digest, { descriptor, bytes });
  return 'uploaded';
}

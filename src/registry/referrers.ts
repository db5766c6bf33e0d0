import type { Context } from '../async/context.ts';
import { resourceExhausted } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { algorithmOf, type Digest, hexOf } from '../oci/digest.ts';
import { type Index, type Manifest, manifestLimitBytes, parseManifest } from '../oci/manifest.ts';
import { mediaTypes } from '../oci/media-types.ts';
import type { HttpResponse } from './exchange.ts';
import { discard, readBody, statusError } from './failure.ts';
import type { RegistryHost } from './host.ts';
import { nextPage, pagesOf } from './next-page.ts';
import type { RetryPolicy } from './retry.ts';
import type { RegistrySession } from './session.ts';
import { digestOf } from './verify.ts';

const maxReferrers = 10_000;

/**
 * What refers to a manifest (signatures, attestations, SBOMs): by the referrers API, or by the tag schema where the
 * registry has none (distribution spec, "listing referrers"). Nothing refers to it: an empty list.
 * @throws unauthenticated, permission_denied, unavailable, invalid_argument (no index), resource_exhausted
 */
export function listReferrers(
  ctx: Context,
  session: RegistrySession,
  digest: Digest,
  artifactType?: string,
): Promise<Descriptor[]> {
  return session.onHosts(ctx, 'referrers', async (host, retry) => {
    const all = await fromApi(ctx, session, host, digest, artifactType, retry);
    const found = all ?? (await tagged(ctx, session, host, digest, retry))?.manifests ?? [];
    return found.filter((one) => artifactType === undefined || one.artifactType === artifactType);
  });
}

/** Undefined when the registry does not know the API. */
async function fromApi(
  ctx: Context,
  session: RegistrySession,
  host: RegistryHost,
  digest: Digest,
  artifactType: string | undefined,
  retry: RetryPolicy,
): Promise<Descriptor[] | undefined> {
  const what = `referrers of ${digest}`;
  const filter = artifactType === undefined ? '' : `?${new URLSearchParams({ artifactType })}`;
  let known = true;
  const found: Descriptor[] = [];
  for await (const page of pagesOf(`/referrers/${digest}${filter}`, what, async (path) => {
    const response = await get(ctx, session, host, path, what, retry);
    if (response.status === 404) known = false;
    const next = known ? nextPage(response) : undefined;
    return { page: await indexOf(response, what), next };
  }))
    if (found.push(...(page?.manifests ?? [])) > maxReferrers)
      throw resourceExhausted(`${what}: more than ${maxReferrers}`);
  return known ? found : undefined;
}

const tagOf = (digest: Digest): string => `${algorithmOf(digest)}-${hexOf(digest)}`.slice(0, 128);

/** The index that stands in for the API: undefined when there is none. */
async function tagged(
  ctx: Context,
  session: RegistrySession,
  host: RegistryHost,
  digest: Digest,
  retry: RetryPolicy,
): Promise<Index | undefined> {
  const what = `referrers tag of ${digest}`;
  return indexOf(await get(ctx, session, host, `/manifests/${tagOf(digest)}`, what, retry), what);
}

function get(
  ctx: Context,
  session: RegistrySession,
  host: RegistryHost,
  path: string | URL,
  what: string,
  retry: RetryPolicy,
): Promise<HttpResponse> {
  const headers = { accept: mediaTypes.ociIndex };
  return session.send(ctx, host, { method: 'GET', path, headers, what }, retry);
}

async function indexOf(response: HttpResponse, what: string): Promise<Index | undefined> {
  if (response.status === 404) return void discard(response);
  if (response.status !== 200) throw await statusError(response, what);
  const index = parseManifest(await readBody(response, manifestLimitBytes, what), mediaTypes.ociIndex);
  return index.kind === 'index' ? index : undefined;
}

/** For a registry without the API: puts a manifest into the index under its subject's tag. Idempotent. */
export async function addToReferrersTag(
  ctx: Context,
  session: RegistrySession,
  subject: Digest,
  manifest: { readonly descriptor: Descriptor; readonly bytes: Uint8Array },
): Promise<void> {
  const host = session.pushHost;
  const known = (await tagged(ctx, session, host, subject, session.retry))?.manifests ?? [];
  if (known.some(({ digest }) => digest === manifest.descriptor.digest)) return;
  const manifests = [...known, describe(manifest)].map(toJson);
  const body = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
  const what = `push referrers tag of ${subject}`;
  const headers = { 'content-type': mediaTypes.ociIndex, 'content-length': String(body.byteLength) };
  const call = { method: 'PUT', path: `/manifests/${tagOf(subject)}`, headers, body, what } as const;
  const response = await session.send(ctx, host, call, session.retry);
  if (response.status >= 300) throw await statusError(response, `${what} (${digestOf(body)})`);
  discard(response);
}

/** A descriptor as the referrers list wants it: with the type of the artifact and the manifest's annotations. */
function describe({ descriptor, bytes }: { descriptor: Descriptor; bytes: Uint8Array }): Descriptor {
  const { mediaType, digest, size } = descriptor;
  const document = parseManifest(bytes, mediaType);
  const artifactType = artifactTypeOf(document);
  return {
    mediaType,
    digest,
    size,
    ...(artifactType !== undefined && { artifactType }),
    ...(document.annotations !== undefined && { annotations: document.annotations }),
  };
}

const artifactTypeOf = (document: Manifest | Index): string | undefined =>
  document.artifactType ?? (document.kind === 'manifest' ? document.config.mediaType : undefined);

/** Only what descriptors have in JSON; platforms of an index that others wrote are kept in their own words. */
function toJson({ platform, ...rest }: Descriptor): object {
  if (platform === undefined) return rest;
  const { osVersion, osFeatures, ...names } = platform;
  return {
    ...rest,
    platform: {
      ...names,
      ...(osVersion !== undefined && { 'os.version': osVersion }),
      ...(osFeatures !== undefined && { 'os.features': osFeatures }),
    },
  };
}

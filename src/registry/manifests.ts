import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../async/context.ts';
import { failedPrecondition, invalidArgument, isKind, notFound, resourceExhausted } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, isDigest } from '../oci/digest.ts';
import { manifestLimitBytes, parseManifest } from '../oci/manifest.ts';
import {
  bareMediaType,
  isIndexType,
  isManifestType,
  isSchema1Type,
  manifestAccept,
} from '../oci/media-types.ts';
import { formatReference, withDefaultTag } from '../oci/reference.ts';
import type { HttpResponse } from './exchange.ts';
import { discard, readBody, statusError } from './failure.ts';
import type { RegistryHost } from './host.ts';
import { pauseAfter, type RetryPolicy } from './retry.ts';
import type { HostCall, RegistrySession } from './session.ts';
import { checkBytes, digestOf } from './verify.ts';

/** What a reference points at; `bytes` when finding out meant reading the manifest. */
export interface Resolved {
  readonly descriptor: Descriptor;
  readonly bytes?: Uint8Array;
}

/**
 * Asks what a reference points at: HEAD, and GET where HEAD does not say enough. A digest in the reference wins over
 * its tag and is what the answer must have. Never falls back to another endpoint.
 * @throws not_found naming the reference, unauthenticated, permission_denied, unavailable, failed_precondition (other
 *   digest), invalid_argument (not a manifest, schema 1)
 */
export function resolve(ctx: Context, session: RegistrySession): Promise<Resolved> {
  return session.onHosts(ctx, 'resolve', async (host, retry) => {
    const found = await head(ctx, session, host, retry);
    return found === undefined ? getAny(ctx, session, host, retry) : { descriptor: found };
  });
}

/** The bytes of a manifest or index, checked against its descriptor. @throws as {@link resolve}, resource_exhausted */
export function fetchManifest(
  ctx: Context,
  session: RegistrySession,
  descriptor: Descriptor,
): Promise<Uint8Array> {
  if (descriptor.size > manifestLimitBytes)
    throw resourceExhausted(
      `manifest ${descriptor.digest}: ${descriptor.size} bytes, at most ${manifestLimitBytes}`,
    );
  return session.onHosts(ctx, 'pull', async (host, retry) => {
    const call = callFor('GET', descriptor.digest, `manifest ${descriptor.digest}`);
    const { bytes } = await read(ctx, session, host, call, retry);
    checkBytes(bytes, descriptor);
    return bytes;
  });
}

async function head(
  ctx: Context,
  session: RegistrySession,
  host: RegistryHost,
  retry: RetryPolicy,
): Promise<Descriptor | undefined> {
  const call = callFor('HEAD', objectOf(session), nameOf(session));
  const response = await session.send(ctx, host, call, retry);
  discard(response);
  if (response.status === 404) throw notFound(`${call.what}: not found`);
  return response.status === 200 ? descriptorOf(response, session.reference.digest) : undefined;
}

/** The descriptor that headers describe completely, else undefined. */
function descriptorOf({ headers }: HttpResponse, wanted: Digest | undefined): Descriptor | undefined {
  const mediaType = bareMediaType(headers['content-type']);
  const digest = headers['docker-content-digest'];
  const size = headers['content-length'] ?? '';
  if (isSchema1Type(mediaType)) throw invalidArgument(`${mediaType}: Docker schema 1 is not supported`);
  const known = isManifestType(mediaType) || isIndexType(mediaType);
  if (!known || !isDigest(digest) || !/^[1-9]\d{0,9}$/.test(size)) return undefined;
  if (wanted !== undefined && digest !== wanted)
    throw failedPrecondition(`registry answers ${digest} when asked for ${wanted}`);
  return { mediaType, digest, size: Number(size) };
}

async function getAny(
  ctx: Context,
  session: RegistrySession,
  host: RegistryHost,
  retry: RetryPolicy,
): Promise<Resolved> {
  const call = callFor('GET', objectOf(session), nameOf(session));
  const { response, bytes } = await read(ctx, session, host, call, retry);
  const digest = digestOf(bytes, session.reference.digest);
  checkBytes(bytes, { digest: session.reference.digest ?? digest, size: bytes.byteLength });
  const { mediaType } = parseManifest(bytes, manifestTypeOf(response));
  return { descriptor: { mediaType, digest, size: bytes.byteLength }, bytes };
}

/** A whole manifest. One whose connection breaks is read again from the start. */
async function read(
  ctx: Context,
  session: RegistrySession,
  host: RegistryHost,
  call: HostCall,
  retry: RetryPolicy,
): Promise<{ response: HttpResponse; bytes: Uint8Array }> {
  for (let n = 1; ; n++) {
    const response = await expectOk(await session.send(ctx, host, call, retry), call.what);
    try {
      return { response, bytes: await readBody(response, manifestLimitBytes, call.what) };
    } catch (error) {
      ctx.signal.throwIfAborted();
      const pauseMs = pauseAfter(retry, n);
      if (!isKind(error, 'unavailable') || n >= retry.attempts || pauseMs === undefined) throw error;
      await sleep(pauseMs, undefined, { signal: ctx.signal });
    }
  }
}

/** A Content-Type that claims to know; generic ones (`text/plain` of a file server) say nothing. */
function manifestTypeOf({ headers }: HttpResponse): string | undefined {
  const type = bareMediaType(headers['content-type']);
  return isManifestType(type) || isIndexType(type) || isSchema1Type(type) ? type : undefined;
}

async function expectOk(response: HttpResponse, what: string): Promise<HttpResponse> {
  if (response.status === 404) {
    discard(response);
    throw notFound(`${what}: not found`);
  }
  if (response.status !== 200) throw await statusError(response, what);
  return response;
}

const accept = [...manifestAccept, '*/*;q=0.1'].join(', ');
const callFor = (method: 'GET' | 'HEAD', object: string, what: string): HostCall => ({
  method,
  path: `/manifests/${object}`,
  headers: { accept },
  what,
});

function objectOf({ reference }: RegistrySession): string {
  const { digest, tag } = withDefaultTag(reference);
  return digest ?? tag ?? 'latest';
}

const nameOf = (session: RegistrySession): string => formatReference(session.reference);

import type { Context } from '../async/context.ts';
import { isKind } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { HttpResponse } from './exchange.ts';
import { existsAt } from './exists.ts';
import { discard, statusError } from './failure.ts';
import type { RegistryHost } from './host.ts';
import { repositoryScope } from './scopes.ts';
import type { RegistrySession } from './session.ts';
import { locationOf, sendUpload } from './upload.ts';

/** A blob to bring to a registry. */
export interface BlobPush {
  readonly descriptor: Descriptor;
  /** Bytes from `offset` to `end`, as often as they are needed. */
  readonly read: (offset: number, end: number) => AsyncIterable<Uint8Array>;
  /** Repositories of the same registry that may have the blob, the most likely one first. */
  readonly mountFrom?: readonly string[];
  /** Told how many bytes are on their way; goes back where an upload had to. */
  readonly report?: (offset: number) => void;
}

/** How a blob came to be in its repository. */
export type Pushed = 'exists' | 'mounted' | 'uploaded';

const maxMountTries = 3;

/**
 * Makes sure that the session's repository has a blob: it is there, or another repository of the registry lends it, or
 * its bytes are sent, in one piece where that works, in smaller ones where it does not, going on where an upload broke.
 * @throws unauthenticated, permission_denied, unavailable, failed_precondition (registry has other bytes)
 */
export async function pushBlob(ctx: Context, session: RegistrySession, push: BlobPush): Promise<Pushed> {
  const host = session.pushHost;
  if (await existsAt(ctx, session, host, push.descriptor, undefined, session.retry)) return 'exists';
  let begun: URL | undefined;
  for (const from of (push.mountFrom ?? []).slice(0, maxMountTries)) {
    const answer = await tryMount(ctx, session, host, push.descriptor, from);
    if (answer === 'mounted') return 'mounted';
    begun = answer ?? begun;
    if (begun !== undefined) break;
  }
  const begin = () => beginUpload(ctx, session, host, push.descriptor);
  await sendUpload(ctx, session, host, push, begun ?? (await begin()), begin);
  return 'uploaded';
}

const what = (descriptor: Descriptor): string => `push blob ${descriptor.digest}`;

const post = (ctx: Context, session: RegistrySession, host: RegistryHost, call: PostCall) =>
  session.send(
    ctx,
    host,
    {
      method: 'POST',
      path: call.path,
      headers: { 'content-length': '0' },
      what: call.what,
      scopes: call.scopes,
    },
    session.retry,
  );

interface PostCall {
  readonly path: string;
  readonly what: string;
  readonly scopes: readonly string[];
}

/**
 * Asks for the blob of another repository (distribution spec, "mounting a blob from another repository"). A registry
 * that will not begins an upload instead, whose address comes back; undefined when it did neither.
 */
async function tryMount(
  ctx: Context,
  session: RegistrySession,
  host: RegistryHost,
  descriptor: Descriptor,
  from: string,
): Promise<'mounted' | URL | undefined> {
  const query = new URLSearchParams({ mount: descriptor.digest, from });
  const scopes = [repositoryScope(from, 'pull')];
  try {
    const path = `/blobs/uploads/?${query}`;
    const response = await post(ctx, session, host, { path, what: what(descriptor), scopes });
    if (response.status === 202) return took(response);
    discard(response);
    return response.status === 201 ? 'mounted' : undefined;
  } catch (error) {
    // A token for the other repository may be refused: that only means that its blob is not lent.
    if (isKind(error, 'unauthenticated') || isKind(error, 'permission_denied')) return undefined;
    throw error;
  }
}

async function beginUpload(
  ctx: Context,
  session: RegistrySession,
  host: RegistryHost,
  descriptor: Descriptor,
): Promise<URL> {
  const call = { path: '/blobs/uploads/', what: what(descriptor), scopes: [] };
  const response = await post(ctx, session, host, call);
  if (response.status !== 202) throw await statusError(response, call.what);
  return took(response);
}

function took(response: HttpResponse): URL {
  discard(response);
  return locationOf(response);
}

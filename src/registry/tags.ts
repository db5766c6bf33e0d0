import type { Context } from '../async/context.ts';
import { arrayAt, fieldOf, objectAt, stringsAt } from '../oci/json-fields.ts';
import { parseStrictJson } from '../oci/strict-json.ts';
import { readBody, statusError } from './failure.ts';
import type { RegistryHost } from './host.ts';
import { nextPage, pagesOf } from './next-page.ts';
import type { RetryPolicy } from './retry.ts';
import type { RegistrySession } from './session.ts';

const limits = { bodyBytes: 4 * 1024 * 1024, tagsPerPage: 100_000 } as const;
const tagPattern = /^\w[\w.-]{0,127}$/;

/**
 * The tags of the session's repository, page by page as the registry gives them (it sorts them); what is no tag is left
 * out. @throws not_found, unauthenticated, permission_denied, unavailable, invalid_argument (not a list)
 */
export async function* listTags(
  ctx: Context,
  session: RegistrySession,
): AsyncGenerator<string[], void, void> {
  const { domain, path } = session.reference;
  const what = `tags of ${domain}/${path}`;
  const read = (at: string | URL) =>
    session.onHosts(ctx, 'resolve', (host, retry) => readPage(ctx, session, host, at, what, retry));
  yield* pagesOf('/tags/list', what, read);
}

async function readPage(
  ctx: Context,
  session: RegistrySession,
  host: RegistryHost,
  path: string | URL,
  what: string,
  retry: RetryPolicy,
) {
  const headers = { accept: 'application/json' };
  const response = await session.send(ctx, host, { method: 'GET', path, headers, what }, retry);
  if (response.status !== 200) throw await statusError(response, what);
  const next = nextPage(response);
  const body = await readBody(response, limits.bodyBytes, what);
  return { page: parseTags(body, what), next };
}

/** @throws invalid_argument when it is no list of tags; `null` is an empty one */
export function parseTags(body: Uint8Array, what: string): string[] {
  const list = objectAt(parseStrictJson(body, limits.bodyBytes, what), what);
  const tags = fieldOf(list, 'tags') ?? [];
  arrayAt(tags, `${what}: tags`, limits.tagsPerPage);
  return stringsAt(tags, `${what}: tags`, limits.tagsPerPage).filter((tag) => tagPattern.test(tag));
}

import { resourceExhausted } from '../errors/error.ts';
import type { HttpResponse } from './exchange.ts';
import { targetOf } from './redirect.ts';

/** Most pages of one list. */
export const pageLimit = 1_000;

/** Where a list goes on (`Link: <…>; rel="next"`, RFC 8288), if it does. @throws permission_denied (a place to stay away from) */
export function nextPage(response: HttpResponse): URL | undefined {
  const links = (typeof response.headers.link === 'string' ? response.headers.link : '').slice(0, 16 * 1024);
  const next = /<([^<>]*)>\s*;[^,<]*\brel="?next\b/i.exec(links)?.[1];
  return next === undefined ? undefined : targetOf(response.url, next);
}

/** Pages of a list, one after another. `read` is given the first path, then addresses. @throws resource_exhausted (endless) */
export async function* pagesOf<T>(
  first: string,
  what: string,
  read: (at: string | URL) => Promise<{ readonly page: T; readonly next: URL | undefined }>,
): AsyncGenerator<T, void, void> {
  let at: string | URL | undefined = first;
  for (let pages = 0; at !== undefined; pages++) {
    if (pages >= pageLimit) throw resourceExhausted(`${what}: more than ${pageLimit} pages`);
    const { page, next }: { readonly page: T; readonly next: URL | undefined } = await read(at);
    yield page;
    at = next;
  }
}

import type { Resource } from '../client/index.ts';
import { shortId } from './output/text.ts';

/** How a resource is called for people: its kind and name, digests cut short unless `full`. */
export function titleOf({ kind, id }: Resource, full = false): string {
  return `${kind} ${full ? id : shortName(id)}`;
}

/** A name in which long digests and ids are cut. */
export const shortName = (id: string): string =>
  id
    .replace(/sha256:[0-9a-f]{64}/g, (digest) => `sha256:${shortId(digest)}`)
    .replace(/^[0-9a-f]{64}$/, shortId);

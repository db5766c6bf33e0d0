import type { BerthClient, Image } from '../client/index.ts';
import { familiarReference, parseReference } from '../oci/reference.ts';
import { CliError } from './failure.ts';

/** Repository and tag as docker shows them; `<none>` where there is none. */
export function splitName(name: string): { repository: string; tag: string } {
  try {
    const { domain, path, tag } = parseReference(name);
    return { repository: familiarReference({ domain, path }), tag: tag ?? '<none>' };
  } catch {
    return { repository: name, tag: '<none>' };
  }
}

const digestStart = /^(?:sha256:)?([0-9a-f]{4,64})$/;

/** The image called so, or the one whose digest starts so; undefined when there is none. @throws CliError (ambiguous) */
export async function lookUpImage(client: BerthClient, text: string): Promise<Image | undefined> {
  const { isKind } = await import('../client/index.ts');
  try {
    return await client.images.get(text);
  } catch (error) {
    if (!isKind(error, 'not_found') && !isKind(error, 'invalid_argument')) throw error;
    const start = digestStart.exec(text)?.[1];
    if (start !== undefined) return byDigest(await client.images.list(), text, start);
    if (isKind(error, 'invalid_argument')) throw error;
    return undefined;
  }
}

/** As {@link lookUpImage}. @throws CliError when there is none */
export async function findImage(client: BerthClient, text: string): Promise<Image> {
  const image = await lookUpImage(client, text);
  if (image !== undefined) return image;
  throw new CliError(`no image is called ${JSON.stringify(text)}`, {
    hint: 'list images: berth images; fetch one: berth pull',
  });
}

function byDigest(images: readonly Image[], text: string, start: string): Image | undefined {
  const [first, ...others] = images.filter(({ target }) => target.digest.slice(7).startsWith(start));
  if (others.some(({ target }) => target.digest !== first?.target.digest)) {
    throw new CliError(`image prefix ${text} is ambiguous`, { hint: 'give more digits, or the name' });
  }
  return first;
}

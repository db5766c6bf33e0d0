import { isDeepStrictEqual } from 'node:util';
import type { Config } from './config.ts';
import { dotted } from './key-path.ts';
import { type Key, keys } from './keys.ts';

/** A setting that differs, in the words of a file. */
export interface Change {
  readonly key: Key;
  /** As it stands in a file of the latest version. */
  readonly name: string;
  /** JSON. */
  readonly before: string;
  readonly after: string;
}

/** What differs between two configurations, in the order of `config default`. */
export function changesBetween(before: Config, after: Config): Change[] {
  return keys.flatMap((key) => {
    const [old, now] = [key.valueOf(before), key.valueOf(after)];
    if (isDeepStrictEqual(old, now)) return [];
    return [{ key, name: dotted(key.path), before: JSON.stringify(old), after: JSON.stringify(now) }];
  });
}

/** `name: old → new`. */
export const changeText = ({ name, before, after }: Change): string => `${name}: ${before} → ${after}`;

import { failedPrecondition } from '../errors/error.ts';
import { type Platform, parsePlatform, platformMatcher } from '../oci/platform.ts';
import type { Differ } from '../transfer/differ.ts';
import type { Config } from './config/config.ts';

/** Names of what Berth does by itself. */
const own: ReadonlySet<string> = new Set(['', 'walking']);

/**
 * Which differ unpacks images of a platform for a snapshotter: the first that is configured for both, undefined for Berth
 * itself. @throws failed_precondition (one that there is not)
 */
export function unpackersOf(
  { unpacks }: Config,
  differs: ReadonlyMap<string, Differ>,
): (snapshotter: string, platform: Platform) => Differ | undefined {
  const chosen = unpacks.map(({ platform, snapshotter, differ }) => {
    if (!own.has(differ) && !differs.has(differ))
      throw failedPrecondition(`differ ${differ} is neither walking nor a proxy plug-in of type diff`);
    const matcher = platform === '' ? undefined : platformMatcher(parsePlatform(platform));
    const fits = (name: string, wanted: Platform) =>
      (snapshotter || 'overlayfs') === name && (matcher === undefined || matcher.rank(wanted) !== undefined);
    return { fits, differ: differs.get(differ) };
  });
  return (snapshotter, platform) => chosen.find(({ fits }) => fits(snapshotter, platform))?.differ;
}

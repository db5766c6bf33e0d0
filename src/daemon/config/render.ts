import { stringify } from 'smol-toml';
import type { Config } from './config.ts';
import { keys } from './keys.ts';
import { latestVersion } from './migrate.ts';
import { type Setting, treeOf } from './settings.ts';

/** A configuration as a file of the latest version that reads back to the same one; `more` is what else stands in it. */
export function renderConfig(config: Config, more: readonly Setting[] = []): string {
  const settings = keys.map((key) => ({ path: key.path, value: key.valueOf(config) }));
  return renderSettings([...settings, ...more]);
}

/** Settings in the names of the latest version, as its text. */
export function renderSettings(
  settings: Iterable<{ readonly path: readonly string[]; readonly value: unknown }>,
): string {
  return stringify({ version: latestVersion, ...treeOf(settings) });
}

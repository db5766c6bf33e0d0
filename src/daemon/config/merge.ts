import { dotted } from './key-path.ts';
import { isZero, type Setting } from './settings.ts';
import { isTable } from './values.ts';

/** Tables of which a later file replaces an entry whole. */
const replacedWhole = new Set(['proxy_plugins', 'stream_processors']);

/**
 * Lays the settings of a later file over those of earlier ones, as containerd does: tables are merged, values replaced.
 * Outside of `plugins`, lists add up, and a value that says nothing ('', 0, false) leaves what is there.
 */
export function mergeInto(merged: Map<string, Setting>, later: readonly Setting[]): void {
  for (const { path } of later) {
    if (!replacedWhole.has(path[0] ?? '') || path.length < 2) continue;
    for (const [name, old] of merged)
      if (!later.includes(old) && old.path[0] === path[0] && old.path[1] === path[1]) merged.delete(name);
  }
  for (const setting of later) {
    if (saysNothing(setting)) continue;
    const name = dotted(setting.path);
    const old = merged.get(name);
    merged.set(name, old === undefined ? setting : mergeSetting(old, setting));
  }
}

function saysNothing({ path: [table = ''], value }: Setting): boolean {
  return table !== 'plugins' && table !== 'berth' && !isTable(value) && isZero(value);
}

function mergeSetting(old: Setting, later: Setting): Setting {
  if (Array.isArray(old.value) && Array.isArray(later.value) && later.path[0] !== 'plugins')
    return { ...later, value: [...new Set([...old.value, ...later.value])] };
  return later;
}

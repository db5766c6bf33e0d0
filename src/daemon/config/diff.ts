import type { Config } from './config.ts';

/** Settings that differ, as `name: old → new`. */
export function changedKeys(before: Config, after: Config): string[] {
  const [old, now] = [flatten(before), flatten(after)];
  return [...now]
    .filter(([name, value]) => old.get(name) !== value)
    .map(([name, value]) => `${name}: ${old.get(name)} → ${value}`);
}

function flatten({ gc, ...settings }: Config): Map<string, string> {
  const nested = Object.entries(gc).map(([name, value]) => [`gc.${name}`, value] as const);
  return new Map(
    [...Object.entries(settings), ...nested].map(([name, value]) => [name, JSON.stringify(value)]),
  );
}

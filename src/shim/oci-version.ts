import type { RuntimeBinary } from './choose-runtime.ts';

/**
 * crun before 1.9 refuses a config.json whose `ociVersion` is newer than it knows ("unknown version specified"),
 * although the specification only ever adds fields; so for crun the bundle says the version that crun knows.
 * Chosen over falling back to runc: it keeps crun's speed, and fields crun does not know it ignores either way.
 */
export function lowerOciVersion<T extends { readonly ociVersion?: unknown }>(
  spec: T,
  runtime: RuntimeBinary,
): T {
  const { ociVersion } = spec;
  if (!runtime.isCrun || runtime.specVersion === '' || typeof ociVersion !== 'string') return spec;
  return isNewer(ociVersion, runtime.specVersion) ? { ...spec, ociVersion: runtime.specVersion } : spec;
}

/** Whether version `a` has a higher major or minor number than `b`; patch levels do not count. */
export function isNewer(a: string, b: string): boolean {
  const [majorA = 0, minorA = 0] = a.split('.').map(Number);
  const [majorB = 0, minorB = 0] = b.split('.').map(Number);
  return majorA !== majorB ? majorA > majorB : minorA > minorB;
}

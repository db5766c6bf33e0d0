import { whyNoIdMaps } from './mapped-mounts.ts';

/** Whether files may be given other owners one by one (OverlayDriverOptions.slowChown). */
export type SlowChown = 'never' | 'fallback' | 'always';

/** How files get the owners that labels ask for. */
export type Owners = 'mapped' | 'chown' | 'as they are';

/** Probes what works here. */
export async function findOwners(slowChown: SlowChown, root: string, mounts: string): Promise<Owners> {
  if (slowChown === 'always') return 'chown';
  if ((await whyNoIdMaps(root, mounts)) === undefined) return 'mapped';
  return slowChown === 'fallback' ? 'chown' : 'as they are';
}

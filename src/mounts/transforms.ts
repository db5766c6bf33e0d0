import type { Mount } from '../sys/mount.ts';
import type { ActiveMount } from './activations.ts';
import { makeDirectories } from './mkdir.ts';
import { type Formatter, makeFileSystem } from './mkfs.ts';
import { fillIn } from './template.ts';

/** Prefixes of a mount's type that change it before it is made. */
export const transformNames = ['format', 'mkfs', 'mkdir'] as const;
export type TransformName = (typeof transformNames)[number];

export const isTransform = (name: string): name is TransformName =>
  transformNames.some((known) => known === name);

/** What transforms work with. */
export interface TransformParts {
  /** Directories in which `mkfs` and `mkdir` may make something, absolute; the longest that fits counts. */
  readonly roots: readonly string[];
  readonly format: Formatter;
}

/** Applies one transform; `active` are the mounts made before. @throws as the transform's own function */
export async function transform(
  parts: TransformParts,
  name: TransformName,
  mount: Mount,
  active: readonly ActiveMount[],
): Promise<Mount> {
  if (name === 'mkdir') return makeDirectories(parts.roots, mount);
  if (name === 'mkfs') return makeFileSystem(parts, mount);
  return {
    ...mount,
    source: fillIn(mount.source, active),
    target: fillIn(mount.target ?? '', active),
    options: mount.options.map((option) => fillIn(option, active)),
  };
}

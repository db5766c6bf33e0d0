import type { Mount } from '../sys/mount.ts';
import type { ActivateOptions } from './activations.ts';
import { isHandled } from './handlers.ts';
import { isTransform, type TransformName } from './transforms.ts';

/** What is to be done with one mount: `format/mkdir/overlay` is two transforms and the type `overlay`. */
export interface MountStep {
  readonly mount: Mount;
  /** From left to right. */
  readonly transforms: readonly TransformName[];
  /** What is mounted in the end. */
  readonly type: string;
}

/** The mounts in order; the first `performed` are made here, the next one is only transformed. */
export interface MountPlan {
  readonly steps: readonly MountStep[];
  readonly performed: number;
}

/** Decides what is made here; undefined where every mount is one for mount(2). */
export function planMounts(
  mounts: readonly Mount[],
  { temporary = false, allow = [] }: ActivateOptions,
): MountPlan | undefined {
  const steps = mounts.map(stepOf);
  const ends = steps.map((step, i) => {
    if (temporary || (isHandled(step.type) && !allow.includes(step.type))) return i + 1;
    return isOurs(step, allow) ? i : -1;
  });
  const performed = Math.max(-1, ...ends);
  return performed < 0 ? undefined : { steps, performed };
}

const isOurs = ({ mount, transforms }: MountStep, allow: readonly string[]): boolean =>
  !allow.includes(mount.type) && transforms.some((name) => !allow.includes(`${name}/*`));

/** Words that are no transform are part of the type. */
function stepOf(mount: Mount): MountStep {
  const transforms: TransformName[] = [];
  let type = mount.type;
  for (let slash = type.indexOf('/'); slash >= 0; slash = type.indexOf('/')) {
    const name = type.slice(0, slash);
    if (!isTransform(name)) break;
    transforms.push(name);
    type = type.slice(slash + 1);
  }
  return { mount, transforms, type };
}

/** What a reconcile pass may find where it should not be, or not find where it should. */
export const findingKinds = [
  'bundle',
  'record',
  'runtime-state',
  'cgroup',
  'mount',
  'process',
  'shim',
] as const;
export type FindingKind = (typeof findingKinds)[number];

/** One thing that shims, processes, cgroups, mounts, bundles and records do not agree on. */
export interface Finding {
  readonly kind: FindingKind;
  /** What it is: a path, an id, a pid. */
  readonly what: string;
  readonly why: string;
  /** Put right in this pass; else it is in doubt, left alone, and counts as a leak. */
  readonly repaired: boolean;
}

/** A task by namespace and id. */
export interface TaskKey {
  readonly namespace: string;
  readonly id: string;
}

export const keyOf = ({ namespace, id }: TaskKey): string => `${namespace}/${id}`;

import { type Node, nodeOf } from './changes.ts';
import { type ConditionalRef, conditionalRef, parseTime, usedAt } from './gc-conditions.ts';
import { type Labels, labelOf } from './labels.ts';

/** References that labels make (containerd's docs/garbage-collection.md). */
export interface LabelRefs {
  /** gc.root */
  readonly root: boolean;
  /** gc.ref.*: what the object keeps. */
  readonly refs: readonly Node[];
  /** gc.bref.*: what keeps the object. */
  readonly backRefs: readonly Node[];
  /** gc.cond.snapshot…: what the object keeps while a condition is met. */
  readonly conditional: readonly ConditionalRef[];
  /** gc.cond.value-usedat, milliseconds. */
  readonly usedAt: number | undefined;
  /** gc.expire, milliseconds; undefined when absent or no RFC 3339 time. */
  readonly expiresAt: number | undefined;
  /** gc.flat */
  readonly flat: boolean;
}

const prefix = 'containerd.io/gc.';
const none: LabelRefs = {
  root: false,
  refs: [],
  backRefs: [],
  conditional: [],
  usedAt: undefined,
  expiresAt: undefined,
  flat: false,
};

/** Whether labels as stored (JSON) can hold anything the collector reads. */
const mayMatter = (json: string): boolean => json.includes(prefix);

export function labelRefs(namespace: string, json: string): LabelRefs {
  if (!mayMatter(json)) return none;
  const labels: Labels = JSON.parse(json);
  const refs: Node[] = [];
  const backRefs: Node[] = [];
  const conditional: ConditionalRef[] = [];
  let root = false;
  for (const [key, value] of Object.entries(labels)) {
    if (!key.startsWith(prefix)) continue;
    const name = key.slice(prefix.length);
    if (name.startsWith('root')) root = true;
    else if (name.startsWith('ref.')) refs.push(...target(namespace, name.slice(4), value));
    else if (name.startsWith('bref.')) backRefs.push(...target(namespace, name.slice(5), value));
    else if (name.startsWith('cond.'))
      conditional.push(...[conditionalRef(key, value)].filter((ref) => ref !== undefined));
  }
  return {
    root,
    refs,
    backRefs,
    conditional,
    usedAt: usedAt(labels),
    expiresAt: parseTime(labelOf(labels, `${prefix}expire`)),
    flat: labelOf(labels, `${prefix}flat`) !== undefined,
  };
}

/** `content`, `content.x`, `content/x`, `image…`, `container…`, `mount…`, `snapshot.<snapshotter>[/x]`; anything else is nobody's. */
function target(namespace: string, name: string, value: string): Node[] {
  const snapshotter = /^snapshot\.([^/]+)(?:\/|$)/.exec(name)?.[1];
  if (snapshotter !== undefined) return [nodeOf('snapshot', namespace, `${snapshotter}/${value}`)];
  const type = /^(content|image|container|mount)(?:[./]|$)/.exec(name)?.[1];
  return type === 'content' || type === 'image' || type === 'container' || type === 'mount'
    ? [nodeOf(type, namespace, value)]
    : [];
}

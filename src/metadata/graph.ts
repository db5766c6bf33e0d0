import { type Node, nodeOf } from './changes.ts';
import { type ConditionalRef, isMet } from './gc-conditions.ts';
import type { LabelRefs } from './gc-labels.ts';

/** Everything the database holds, as a graph: who keeps whom, what keeps itself. */
export class Graph {
  readonly refs = new Map<Node, readonly Node[]>();
  readonly backRefs = new Map<Node, Node[]>();
  readonly roots: Node[] = [];
  /** What leases with gc.flat keep: the thing itself, without what it refers to. */
  readonly flat = new Map<Node, readonly Node[]>();
  /** Snapshots whose first reference is their parent. */
  readonly hasParent = new Set<Node>();
  /** When snapshots say they were last used. */
  readonly usedAt = new Map<Node, number>();
  readonly #conditional: { holder: Node; snapshot: Node; ref: ConditionalRef }[] = [];
  /** What may be collected; containers never are. Leases only when expired. */
  readonly collectable: Node[] = [];

  /** `targets` keep `node`. */
  addBackRefs(node: Node, targets: readonly Node[]): void {
    for (const target of targets) {
      const list = this.backRefs.get(target);
      if (list) list.push(node);
      else this.backRefs.set(target, [node]);
    }
  }

  /** Takes what the labels of `node` say beside `refs` that it has anyway. */
  addLabels(node: Node, namespace: string, labels: LabelRefs, refs: readonly Node[] = []): void {
    const all = [...refs, ...labels.refs];
    if (all.length > 0) this.refs.set(node, all);
    this.addBackRefs(node, labels.backRefs);
    if (labels.usedAt !== undefined) this.usedAt.set(node, labels.usedAt);
    for (const ref of labels.conditional) {
      this.#conditional.push({ holder: node, snapshot: nodeOf('snapshot', namespace, ref.snapshot), ref });
    }
  }

  /** Once everything is read: conditional references that hold become back references. */
  resolveConditional(now: number): void {
    for (const { holder, snapshot, ref } of this.#conditional)
      if (isMet(ref, this.usedAt.get(snapshot), now)) this.addBackRefs(snapshot, [holder]);
  }
}

/** What garbage collection knows. Ids of snapshots are `<snapshotter>/<key>`, of content digests, of ingests refs. */
export type NodeType =
  | 'content'
  | 'snapshot'
  | 'image'
  | 'container'
  | 'sandbox'
  | 'lease'
  | 'ingest'
  | 'mount';

/** One resource in one namespace, `type/namespace/id`: neither of the first two can hold a slash. */
export type Node = string & { readonly __brand: 'Node' };

export const nodeOf = (type: NodeType, namespace: string, id: string): Node =>
  `${type}/${namespace}/${id}` as Node;

export function partsOf(node: Node): { type: NodeType; namespace: string; id: string } {
  const first = node.indexOf('/');
  const second = node.indexOf('/', first + 1);
  return {
    type: node.slice(0, first) as NodeType,
    namespace: node.slice(first + 1, second),
    id: node.slice(second + 1),
  };
}

/**
 * What the record stores tell the collector, so that it can mark while they go on writing: everything that was added
 * or that may have got a new reference since a mark began is looked at again before anything is removed.
 */
export class Changes {
  readonly #pins = new Map<Node, number>();
  #touched: Node[] = [];
  #watching = false;
  #deletions = 0;

  /** Call inside the mutation that adds `node` or changes its labels, parent, target or lease. */
  touch(node: Node): void {
    if (this.#watching) this.#touched.push(node);
  }

  /** Call inside a mutation that removes a record or a reference: there may be garbage now. */
  deleted(): void {
    this.#deletions++;
  }

  get deletions(): number {
    return this.#deletions;
  }

  /** Keeps `node` from collection until disposed (an ingest that is being written). */
  pin(node: Node): Disposable {
    this.#pins.set(node, (this.#pins.get(node) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#pins.get(node) ?? 1) - 1;
        if (left > 0) this.#pins.set(node, left);
        else this.#pins.delete(node);
      },
    };
  }

  get pinned(): Iterable<Node> {
    return this.#pins.keys();
  }

  /** Starts to remember touched nodes, until disposed. One watcher at a time. */
  watch(): Disposable {
    this.#watching = true;
    this.#touched = [];
    return {
      [Symbol.dispose]: () => {
        this.#watching = false;
        this.#touched = [];
      },
    };
  }

  /** What was touched since the last call. */
  takeTouched(): Node[] {
    return this.#touched.splice(0);
  }
}

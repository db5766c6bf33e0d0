import type { Context } from '../async/context.ts';

/** A namespace and its labels. */
export interface Namespace {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Namespaces: they separate the records of clients that share a daemon. */
export interface NamespaceStore {
  /** Labels of a namespace; empty for one that was never created (clients depend on that). */
  labels(ctx: Context, name: string): Promise<Readonly<Record<string, string>>>;
  list(ctx: Context): Promise<Namespace[]>;
  /** @throws already_exists, invalid_argument */
  create(ctx: Context, namespace: Namespace): Promise<Namespace>;
  /** Makes it where it is not there, as containerd does. Field paths: labels.<key>; none = all labels. @throws invalid_argument */
  update(ctx: Context, namespace: Namespace, fieldPaths?: readonly string[]): Promise<Namespace>;
  /** @throws not_found, failed_precondition (not empty; says what is left) */
  delete(ctx: Context, name: string): Promise<void>;
}

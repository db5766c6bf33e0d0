import type { Context } from '../async/context.ts';
import type { Any } from '../oci/any.ts';

/** A sandbox record: metadata only, what runs is its controller's. Anys are kept byte for byte. */
export interface Sandbox {
  readonly id: string;
  readonly runtime: { readonly name: string; readonly options?: Any | undefined };
  readonly spec?: Any | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly extensions: Readonly<Record<string, Any>>;
  /** Name of the controller that runs it, e.g. `shim`. */
  readonly sandboxer: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export type NewSandbox = Omit<Sandbox, 'createdAt' | 'updatedAt'>;

/** Records of sandboxes, by id within the context's namespace. They go with their namespace. */
export interface SandboxStore {
  /** @throws not_found */
  get(ctx: Context, id: string): Promise<Sandbox>;
  /** Filters: `id`, `labels.<key>`. @throws invalid_argument (filter) */
  list(ctx: Context, filters?: readonly string[]): Promise<Sandbox[]>;
  /** @throws already_exists, invalid_argument (id) */
  create(ctx: Context, sandbox: NewSandbox): Promise<Sandbox>;
  /**
   * Field paths: `labels`, `labels.<key>`, `extensions`, `extensions.<key>`, `spec`, `runtime`; none means all of them,
   * the runtime's name excepted. @throws not_found, invalid_argument
   */
  update(ctx: Context, sandbox: NewSandbox, fieldPaths?: readonly string[]): Promise<Sandbox>;
  /** @throws not_found */
  delete(ctx: Context, id: string): Promise<void>;
}

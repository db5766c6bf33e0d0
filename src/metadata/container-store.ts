import type { Context } from '../async/context.ts';
import type { Any } from '../oci/any.ts';

/** A container record: metadata only, what runs is a task. Anys are kept byte for byte. */
export interface Container {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly image: string;
  readonly runtime: { readonly name: string; readonly options?: Any | undefined };
  readonly spec?: Any | undefined;
  readonly snapshotter: string;
  readonly snapshotKey: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly extensions: Readonly<Record<string, Any>>;
  readonly sandboxId: string;
}

export type NewContainer = Omit<Container, 'createdAt' | 'updatedAt'>;

/** Records of containers, by id within the context's namespace. */
export interface ContainerStore {
  /** @throws not_found */
  get(ctx: Context, id: string): Promise<Container>;
  /** All at once, by id. @throws invalid_argument (filters) */
  list(ctx: Context, filters?: readonly string[]): Promise<Container[]>;
  /** As {@link get}, encoded: field 1 of an answer. @throws not_found */
  getEncoded(ctx: Context, id: string): Promise<Uint8Array>;
  /**
   * Those of {@link list}, encoded as {@link getEncoded} does it, in pages of at most 64. One that is made or deleted between two
   * pages is there or not, any other exactly once. @throws invalid_argument (filters)
   */
  walkEncoded(ctx: Context, filters?: readonly string[]): AsyncIterable<Uint8Array[]>;
  /** @throws already_exists, invalid_argument (id, labels, runtime name) */
  create(ctx: Context, container: NewContainer): Promise<Container>;
  /** Field paths as containerd's containers.Update takes them. @throws not_found, invalid_argument (immutable field) */
  update(
    ctx: Context,
    container: Partial<NewContainer> & { id: string },
    fieldPaths?: readonly string[],
  ): Promise<Container>;
  /** @throws not_found */
  delete(ctx: Context, id: string): Promise<void>;
  /** Lets go of what is only held to be read faster. */
  releaseMemory(): void;
}

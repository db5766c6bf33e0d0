import type { Context } from '../async/context.ts';
import type { Descriptor } from '../oci/descriptor.ts';

/** An image record: a name and the descriptor it points at. Labels are kept verbatim. */
export interface Image {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly target: Descriptor;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Records of images, by name within the context's namespace. */
export interface ImageStore {
  /** @throws not_found */
  get(ctx: Context, name: string): Promise<Image>;
  /** By any of containerd's filters over name, target.digest, target.mediatype, labels. */
  list(ctx: Context, filters?: readonly string[]): Promise<Image[]>;
  /** @throws already_exists, invalid_argument */
  create(
    ctx: Context,
    image: Pick<Image, 'name' | 'labels' | 'target'> & { createdAt?: Date },
  ): Promise<Image>;
  /** Field paths: target, labels, labels.<key>, annotations.<key>; none = everything but the name. @throws not_found */
  update(
    ctx: Context,
    image: Pick<Image, 'name' | 'labels' | 'target'> & { updatedAt?: Date },
    fieldPaths?: readonly string[],
  ): Promise<Image>;
  /** `sync` waits until garbage collection is done; `target` deletes only while the record points there. @throws not_found */
  delete(ctx: Context, name: string, options?: { sync?: boolean; target?: Descriptor }): Promise<void>;
}

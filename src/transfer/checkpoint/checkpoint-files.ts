import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { cleanUp } from '../../async/cleanup.ts';
import type { Context } from '../../async/context.ts';
import type { ContentStore } from '../../content/store.ts';
import { invalidArgument } from '../../errors/error.ts';
import { validateIdentifier, validNamespace } from '../../metadata/identifiers.ts';
import type { Any } from '../../oci/any.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { mediaTypes } from '../../oci/media-types.ts';
import { namesIn } from '../../sys/names-in.ts';
import { makeLayer } from '../make-layer.ts';
import { putBlob } from '../put-blob.ts';
import { unpackCriuTar } from './criu-tar.ts';

/** Who writes the processes of a task to files; the runtime's Tasks is one. */
export interface Dumper {
  checkpoint(ctx: Context, id: string, path: string, options?: Any): Promise<void>;
}

const dumpPrefix = 'dump-';

/**
 * The files of checkpoints on their way between criu and content: `<root>/dump-…` while one is made, and
 * `<root>/<namespace>/<id>` from the create of a task to the start that restores it.
 */
export class CheckpointFiles {
  readonly #root: string;
  readonly #content: ContentStore;

  /** `root`: a directory of its own on a disk, made when missing. */
  constructor(root: string, content: ContentStore) {
    this.#root = root;
    this.#content = content;
  }

  /**
   * Makes a checkpoint of a task and keeps it as content, under the caller's lease: criu's images and the container's
   * specification, as containerd does. `options`: containerd.runc.v1.CheckpointOptions.
   */
  async save(ctx: Context, tasks: Dumper, id: string, spec: Any, options?: Any): Promise<Descriptor[]> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    const directory = join(this.#root, `${dumpPrefix}${randomBytes(12).toString('hex')}`);
    try {
      await tasks.checkpoint(ctx, id, directory, options);
      const right = [{ type: 'bind', source: directory, options: ['rbind', 'ro'] }];
      const { descriptor } = await makeLayer(this.#content, ctx, {
        left: [],
        right,
        mediaType: mediaTypes.ociLayer,
      });
      const images = { ...descriptor, mediaType: mediaTypes.criuImages };
      return [images, await putAny(this.#content, ctx, mediaTypes.checkpointSpec, spec)];
    } finally {
      await cleanUp(ctx, 'remove the files of a checkpoint', () =>
        rm(directory, { recursive: true, force: true }),
      );
    }
  }

  /**
   * Puts criu's images where a task of that id can be restored from. @returns their directory
   * @throws invalid_argument (no such images), not_found
   */
  async unpack(ctx: Context, id: string, { mediaType, digest }: Descriptor): Promise<string> {
    if (mediaType !== mediaTypes.criuImages)
      throw invalidArgument(`unsupported checkpoint type ${JSON.stringify(mediaType.slice(0, 200))}`);
    const directory = this.#place(ctx, id);
    await rm(directory, { recursive: true, force: true });
    await mkdir(join(directory, '..'), { recursive: true, mode: 0o700 });
    await using reader = await this.#content.reader(ctx, digest);
    try {
      await unpackCriuTar(reader.stream(), directory);
      return directory;
    } catch (error) {
      await cleanUp(ctx, 'remove an unpacked checkpoint', () => this.forget(ctx, id));
      throw error;
    }
  }

  /** The task has been restored or is gone. Idempotent. */
  async forget(ctx: Context, id: string): Promise<void> {
    await rm(this.#place(ctx, id), { recursive: true, force: true });
  }

  /** At the daemon's start: removes what no task waits for. `isAwaited`: whether one of that id is there. */
  async sweep(isAwaited: (namespace: string, id: string) => boolean): Promise<void> {
    for (const namespace of await namesIn(this.#root)) {
      const path = join(this.#root, namespace);
      if (namespace.startsWith(dumpPrefix)) await rm(path, { recursive: true, force: true });
      else
        for (const id of await namesIn(path))
          if (!isAwaited(namespace, id)) await rm(join(path, id), { recursive: true, force: true });
    }
  }

  #place(ctx: Context, id: string): string {
    validateIdentifier(id);
    return join(this.#root, validNamespace(ctx), id);
  }
}

/** Keeps an Any as containerd does: encoded, as a blob. */
export function putAny(
  content: ContentStore,
  ctx: Context,
  mediaType: string,
  { typeUrl, value }: Any,
): Promise<Descriptor> {
  const any = create(AnySchema, { typeUrl, value: Uint8Array.from(value) });
  return putBlob(content, ctx, mediaType, toBinary(AnySchema, any));
}

import { create } from '@bufbuild/protobuf';
import {
  ContainerPathSchema,
  ReadStreamSchema,
  WriteStreamSchema,
} from '../gen/containerd/types/transfer/transfer_pb.ts';
import { download, upload } from './byte-transfers.ts';
import type { Connection } from './connection.ts';
import { drain } from './drain.ts';
import { endOf } from './transfer.ts';

/** How to take something out of a container. */
export interface CopyFromOptions {
  /** Only the entry itself, also of a directory: to see what it is. Default false. */
  readonly noWalk?: boolean;
  readonly signal?: AbortSignal;
}

/** How to put something into a container. */
export interface CopyToOptions {
  /** Owners as the archive has them. Default: everything is the container's root's. */
  readonly preserveOwnership?: boolean;
  readonly signal?: AbortSignal;
}

const mediaType = 'application/x-tar';

/** What is at a path in a container, as a tar; see {@link Containers.copyFrom}. */
export function readContainerPath(
  connection: Connection,
  containerId: string,
  path: string,
  { noWalk = false, signal }: CopyFromOptions = {},
): AsyncGenerator<Uint8Array, void, void> {
  const from = create(ContainerPathSchema, { containerId, path, noWalk });
  return download(connection, 'copy', signal, (stream) => ({
    source: endOf(ContainerPathSchema, from),
    destination: endOf(WriteStreamSchema, create(WriteStreamSchema, { stream, mediaType })),
  }));
}

/** A tar into a directory of a container; see {@link Containers.copyTo}. */
export async function writeContainerPath(
  connection: Connection,
  containerId: string,
  path: string,
  archive: AsyncIterable<Uint8Array>,
  { preserveOwnership = false, signal }: CopyToOptions = {},
): Promise<void> {
  const to = create(ContainerPathSchema, { containerId, path, preserveOwnership });
  const steps = upload(connection, 'copy', archive, signal, (stream) => ({
    source: endOf(ReadStreamSchema, create(ReadStreamSchema, { stream, mediaType })),
    destination: endOf(ContainerPathSchema, to),
  }));
  await drain(steps);
}

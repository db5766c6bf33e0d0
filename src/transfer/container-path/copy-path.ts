import type { Context } from '../../async/context.ts';
import { invalidArgument } from '../../errors/error.ts';
import { ownedBy } from '../../paths/owners.ts';
import { pathArchive } from '../../paths/path-archive.ts';
import { findPath, openDirectory, pathBytes } from '../../paths/tree-path.ts';
import { writeArchive } from '../../paths/write-archive.ts';
import type { TransferParts } from '../parts.ts';
import { type Report, type TransferProgress, throttled } from '../progress.ts';
import { reporting } from '../reporting.ts';
import { type ContainerPathParts, openContainerRoot } from './container-root.ts';

/** A path in a container. */
export interface ContainerPath {
  readonly containerId: string;
  /** From the container's root. Read, a path that ends in `/` or `/.` gives what is in the directory, under `./`. */
  readonly path: string;
  /** Read: only the entry itself, also of a directory. */
  readonly noWalk: boolean;
  /** Written: owners as the archive has them, not the container's root. */
  readonly preserveOwnership: boolean;
}

const titleOf = ({ containerId, path }: ContainerPath): string => `${containerId}:${path}`;

/** Where bytes go. `around` opens and ends it. */
export interface ByteTarget {
  write(bytes: Uint8Array): Promise<void>;
  around(work: () => Promise<void>): Promise<void>;
}

/** Takes what is at a path in a container out as a tar. @throws see openContainerRoot, findPath, pathArchive */
export function copyOut(
  parts: TransferParts,
  reach: ContainerPathParts,
  ctx: Context,
  from: ContainerPath,
  to: ByteTarget,
): AsyncIterable<TransferProgress> {
  return reporting(parts, ctx, { verb: 'copy', name: titleOf(from) }, (inner, report) =>
    to.around(async () => {
      const told = byteReport(report, titleOf(from));
      for await (const bytes of readPath(parts, reach, inner, from)) {
        await to.write(bytes);
        told.add(bytes.byteLength);
      }
      told.done();
    }),
  );
}

/** Puts the members of a tar into a directory of a container. @throws see openContainerRoot, writeArchive */
export function copyIn(
  parts: TransferParts,
  reach: ContainerPathParts,
  ctx: Context,
  to: ContainerPath,
  archive: (ctx: Context) => AsyncIterable<Uint8Array>,
): AsyncIterable<TransferProgress> {
  return reporting(parts, ctx, { verb: 'copy', name: titleOf(to) }, (inner, report) =>
    writePath(parts, reach, inner, to, archive(inner), report),
  );
}

/** From one container to another, or to another place in the same one. */
export const copyBetween = (
  parts: TransferParts,
  reach: ContainerPathParts,
  ctx: Context,
  from: ContainerPath,
  to: ContainerPath,
): AsyncIterable<TransferProgress> =>
  copyIn(parts, reach, ctx, to, (inner) => readPath(parts, reach, inner, from));

async function* readPath(
  parts: TransferParts,
  reach: ContainerPathParts,
  ctx: Context,
  { containerId, path, noWalk }: ContainerPath,
): AsyncGenerator<Uint8Array> {
  await using root = await openContainerRoot(parts, reach, ctx, containerId, 'read');
  using found = findPath(root.fd, pathBytes(path));
  root.check(found.directory, Buffer.from(found.base, 'latin1').toString());
  yield* pathArchive(found, { noWalk, owners: root.owners, signal: ctx.signal });
}

async function writePath(
  parts: TransferParts,
  reach: ContainerPathParts,
  ctx: Context,
  to: ContainerPath,
  archive: AsyncIterable<Uint8Array>,
  report: Report,
): Promise<void> {
  if (to.noWalk) throw invalidArgument('no_walk means nothing where something is written');
  const at = pathBytes(to.path);
  await using root = await openContainerRoot(parts, reach, ctx, to.containerId, 'write');
  using directory = openDirectory(root.fd, at);
  root.check(directory);
  const owners = to.preserveOwnership ? root.owners : ownedBy(root.owners, { uid: 0, gid: 0 });
  const told = byteReport(report, titleOf(to));
  const { signal } = ctx;
  await writeArchive(root.fd, archive, { at, owners, signal, onBytes: (total) => told.at(total) });
  told.done();
}

function byteReport(report: Report, name: string) {
  let total = 0;
  const tell = (phase: 'copying' | 'copied') => report({ phase, name, offset: total, total: 0 });
  const often = throttled(() => tell('copying'));
  const at = (bytes: number) => {
    total = bytes;
    often(bytes);
  };
  return { at, add: (bytes: number) => at(total + bytes), done: () => tell('copied') };
}

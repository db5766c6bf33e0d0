import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '../../async/context.ts';
import { codeOf, failedPrecondition, invalidArgument, unavailable } from '../../errors/error.ts';
import { sidesOf } from '../../layers/diff/diff-sides.ts';
import type { Container, ContainerStore } from '../../metadata/container-store.ts';
import { type Owners, ownersOf } from '../../paths/owners.ts';
import { AT_FDCWD, O_DIRECTORY, O_PATH } from '../../sys/constants.ts';
import type { Fd } from '../../sys/fd.ts';
import { openAt } from '../../sys/files.ts';
import { mountTemporarily } from '../../sys/temp-mount.ts';
import type { IdRange } from '../../sys/user-namespace.ts';
import type { TransferParts } from '../parts.ts';
import { snapshotterOf } from '../unpack.ts';

/** What reaching into containers needs beside the transfer parts. */
export interface ContainerPathParts {
  readonly containers: Pick<ContainerStore, 'get'>;
  readonly tasks: {
    find(ctx: Context, id: string): Promise<{ readonly status: string; readonly pid: number } | undefined>;
    /** Keeps a task from being made or deleted until disposed. */
    hold(ctx: Context, id: string): Promise<Disposable>;
  };
}

/** The open root directory of a container; everything in it is somebody else's. */
export interface ContainerRoot extends AsyncDisposable {
  readonly fd: Fd;
  readonly owners: Owners;
  /** @throws failed_precondition where a directory is not the one that the container will see when it runs */
  check(directory: Fd, base?: string): void;
}

/**
 * Opens the root of a container: of one that runs as its processes see it, volumes and all; of any other, its snapshot,
 * mounted for the purpose. For `write` no task of it can be made meanwhile.
 * @throws not_found, failed_precondition (no snapshot, a runtime that keeps files to itself, a read-only root)
 */
export async function openContainerRoot(
  parts: TransferParts,
  { containers, tasks }: ContainerPathParts,
  ctx: Context,
  id: string,
  use: 'read' | 'write',
): Promise<ContainerRoot> {
  if (id === '') throw invalidArgument('container path without a container id');
  const container = await containers.get(ctx, id);
  const spec = specOf(container);
  await using stack = new AsyncDisposableStack();
  const held = stack.use(await tasks.hold(ctx, id));
  const task = await tasks.find(ctx, id);
  if (task !== undefined && ['running', 'paused', 'pausing'].includes(task.status)) {
    const fd = stack.use(openLiveRoot(task.pid));
    // The pid was its own all the while, so the root is not that of a process that came later.
    const now = await tasks.find(ctx, id);
    if (now === undefined || now.pid !== task.pid || now.status === 'stopped')
      throw unavailable(`container ${id} ended just now: try again`);
    held[Symbol.dispose]();
    return kept(stack.move(), fd, spec, () => {});
  }
  if (task?.status === 'unknown') throw unavailable(`nobody knows whether container ${id} runs`);
  if (use === 'write' && spec.root?.readonly === true)
    throw failedPrecondition(`container ${id}: its root file system is read-only`);
  const directory = await idleRoot(parts, ctx, container, use, stack);
  const fd = stack.use(openAt(AT_FDCWD, directory, O_PATH | O_DIRECTORY));
  if (use === 'read') held[Symbol.dispose]();
  return kept(stack.move(), fd, spec, (found, base) => refuseMounts(directory, found, base, spec));
}

function kept(
  stack: AsyncDisposableStack,
  fd: Fd,
  { linux }: Spec,
  check: ContainerRoot['check'],
): ContainerRoot {
  const owners = ownersOf(rangesOf(linux?.uidMappings), rangesOf(linux?.gidMappings));
  return { fd, owners, check, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** @throws failed_precondition (the process lives among the host's files), unavailable (it is gone) */
function openLiveRoot(pid: number): Fd {
  try {
    if (readlinkSync(`/proc/${pid}/ns/mnt`) === readlinkSync('/proc/self/ns/mnt'))
      throw failedPrecondition('the runtime keeps the files of this container to itself');
    return openAt(AT_FDCWD, `/proc/${pid}/root/.`, O_PATH | O_DIRECTORY);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH')
      throw unavailable(`process ${pid} ended just now: try again`, error);
    throw error;
  }
}

/** Where the files of a container are that does not run. Only for writing they are mounted as it would have them. */
async function idleRoot(
  parts: TransferParts,
  ctx: Context,
  { id, snapshotter, snapshotKey }: Container,
  use: 'read' | 'write',
  stack: AsyncDisposableStack,
): Promise<string> {
  if (snapshotKey === '') throw failedPrecondition(`container ${id} does not run and has no snapshot`);
  const mounts = await snapshotterOf(parts, snapshotter).mounts(ctx, snapshotKey);
  if (use === 'write') return stack.use(await mountTemporarily(mounts)).path;
  const side = sidesOf([], mounts).right;
  if (side !== undefined && 'directory' in side) return side.directory;
  return stack.use(await mountTemporarily(side?.mounts ?? [])).path;
}

/** What the container has mounted there when it runs would hide what is found now. */
function refuseMounts(top: string, directory: Fd, base = '', { mounts = [] }: Spec): void {
  const path = join('/', readlinkSync(directory.procPath).slice(top.length), base);
  for (const { destination = '/' } of mounts)
    if (path === destination || path.startsWith(`${destination}/`))
      throw failedPrecondition(
        `${destination} is a mount of the container, which does not run: start it first`,
      );
}

interface Spec {
  readonly root?: { readonly readonly?: boolean };
  readonly mounts?: readonly { readonly destination?: string }[];
  readonly linux?: { readonly uidMappings?: readonly Mapping[]; readonly gidMappings?: readonly Mapping[] };
}
interface Mapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

const rangesOf = (mappings: readonly Mapping[] = []): IdRange[] =>
  mappings.map(({ containerID, hostID, size }) => ({ inside: containerID, outside: hostID, length: size }));

function specOf({ id, spec }: Container): Spec {
  if (spec === undefined) return {};
  try {
    return JSON.parse(Buffer.from(spec.value).toString()) as Spec;
  } catch (error) {
    throw failedPrecondition(`container ${id}: its runtime spec cannot be read`, error);
  }
}

import { existsSync } from 'node:fs';
import { cleanUp } from '../async/cleanup.ts';
import type { Context } from '../async/context.ts';
import { invalidArgument, isKind } from '../errors/error.ts';
import type { Any } from '../oci/any.ts';
import { chainIdOf } from '../oci/chain-id.ts';
import type { ChainId } from '../oci/digest.ts';
import type { ImageConfig, ImageProcess } from '../oci/image-config.ts';
import { hostPlatform, platformMatcher } from '../oci/platform.ts';
import { buildSpec, type SpecOptions } from '../oci/spec/build.ts';
import { type RuntimeSpec, type SpecMount, specTypeUrl } from '../oci/spec/runtime-spec.ts';
import { resolveUser } from '../oci/spec/user.ts';
import type { Mount, Snapshotter } from '../snapshots/snapshotter.ts';
import { refuseOddMountpoints } from '../sys/mountpoints.ts';
import { withTempMount } from '../sys/temp-mount.ts';
import { recordOf } from './container-record.ts';
import type { NewContainerOfImage } from './containers.ts';
import { toAny } from './exec-spec.ts';
import { readHostFacts } from './host-facts.ts';
import { readImageConfig } from './image-reader.ts';
import type { ContainerParts } from './parts.ts';
import type { Plan } from './plan.ts';
import { restoredSpec } from './restored-spec.ts';
import { makeWorkingDir, openRootfs, readAccountFiles } from './rootfs.ts';

/**
 * Makes snapshot and record of a planned container; each step's undoing is pushed on `undo` before the next begins.
 * @throws see Containers.create
 */
export async function makeContainer(
  ctx: Context,
  parts: ContainerParts,
  plan: Plan,
  undo: AsyncDisposableStack,
): Promise<void> {
  const { id, image, snapshotter, wanted } = plan;
  const config = await readImageConfig(ctx, parts.content, image.target, platformMatcher(hostPlatform()));
  checkBeforehand(wanted);
  const parent =
    (await findUnpacked(ctx, snapshotter, config)) ??
    (await parts.unpacker.ensureUnpacked(ctx, image, snapshotter.name));
  const mounts = await snapshotter.prepare(ctx, id, parent);
  undo.defer(() => cleanUp(ctx, `remove snapshot ${id}`, (late) => snapshotter.remove(late, id)));
  const spec = await specFor(ctx, parts, mounts, config.process, plan);
  await parts.containers.create(ctx, recordOf(ctx, plan, config.process, spec));
}

/** The image's snapshot where it is here already, which saves planning an unpack. */
async function findUnpacked(
  ctx: Context,
  snapshotter: Snapshotter,
  { diffIds }: ImageConfig,
): Promise<ChainId | undefined> {
  if (diffIds.length === 0) return undefined;
  const chainId = chainIdOf(diffIds);
  try {
    const { kind } = await snapshotter.stat(ctx, chainId);
    return kind === 'committed' ? chainId : undefined;
  } catch (error) {
    if (isKind(error, 'not_found')) return undefined;
    throw error;
  }
}

async function specFor(
  ctx: Context,
  parts: ContainerParts,
  mounts: readonly Mount[],
  image: ImageProcess,
  plan: Plan,
): Promise<Any> {
  const { namespace, id, wanted } = plan;
  if (wanted.restored === undefined) return toAny(specTypeUrl, await builtSpec(mounts, image, plan));
  const { spec, layer } = wanted.restored;
  if (layer !== undefined) await parts.unpacker.apply(ctx, layer, mounts);
  return restoredSpec(spec, namespace, id);
}

/** With the snapshot mounted: finds the user, refuses what runtimes could be led astray by, makes the working directory. */
function builtSpec(mounts: readonly Mount[], image: ImageProcess, plan: Plan): Promise<RuntimeSpec> {
  return withTempMount(mounts, async (path) => {
    using root = openRootfs(path);
    refuseOddMountpoints(root);
    const user = resolveUser(plan.wanted.user || image.user, readAccountFiles(root));
    const spec = buildSpec(image, { ...optionsOf(plan), user });
    makeWorkingDir(root, spec.process.cwd);
    return spec;
  });
}

function optionsOf({ id, namespace, wanted }: Plan): Omit<SpecOptions, 'user'> {
  const { network, seccomp, mounts = [], user: _, ...rest } = wanted;
  const isHost = network === 'host';
  return {
    ...rest,
    id,
    namespace,
    network: isHost ? 'host' : 'none',
    seccomp: seccomp === 'unconfined' ? 'unconfined' : 'default',
    mounts: isHost ? [...hostFiles(mounts), ...mounts] : mounts,
    host: readHostFacts(wanted.privileged === true),
  };
}

/** On the host's network a container needs the host's names. */
const hostFiles = (mounts: readonly SpecMount[]): SpecMount[] =>
  ['/etc/hosts', '/etc/resolv.conf']
    .filter((path) => existsSync(path) && !mounts.some((m) => m.destination === path))
    .map((path) => ({ type: 'bind', source: path, destination: path, options: ['rbind', 'ro'] }));

function checkBeforehand({ network = '', seccomp = '', mounts = [] }: NewContainerOfImage): void {
  if (!['', 'host', 'none'].includes(network))
    throw invalidArgument(`network ${JSON.stringify(network)}: want host or none`);
  if (!['', 'unconfined'].includes(seccomp))
    throw invalidArgument(`seccomp ${JSON.stringify(seccomp)}: want unconfined or nothing`);
  const missing = mounts.find((m) => m.type === 'bind' && !existsSync(m.source));
  if (missing !== undefined)
    throw invalidArgument(`mount ${missing.destination}: source ${missing.source} does not exist`);
}

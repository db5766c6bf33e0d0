import { existsSync } from 'node:fs';
import { cleanUp } from '../async/cleanup.ts';
import type { Context, Log } from '../async/context.ts';
import { invalidArgument, isKind } from '../errors/error.ts';
import type { Any } from '../oci/any.ts';
import { chainIdOf } from '../oci/chain-id.ts';
import type { ChainId } from '../oci/digest.ts';
import type { ImageConfig, ImageProcess } from '../oci/image-config.ts';
import { labelNames } from '../oci/label-names.ts';
import { hostPlatform, platformMatcher } from '../oci/platform.ts';
import { buildSpec, type SpecOptions, type UserMaps } from '../oci/spec/build.ts';
import { cdiNamesOf, type ResolvedEdits, withEdits } from '../oci/spec/cdi-edits.ts';
import { isCdiName } from '../oci/spec/cdi-spec.ts';
import { type IdMapping, parseIdMap } from '../oci/spec/id-maps.ts';
import { type RuntimeSpec, type SpecMount, specTypeUrl } from '../oci/spec/runtime-spec.ts';
import { resolveUser } from '../oci/spec/user.ts';
import type { Mount, Snapshotter } from '../snapshots/snapshotter.ts';
import { refuseOddMountpoints } from '../sys/mountpoints.ts';
import { withTempMount } from '../sys/temp-mount.ts';
import { resolveCdiDevices } from './cdi-devices.ts';
import { recordOf } from './container-record.ts';
import type { NewContainerOfImage } from './containers.ts';
import { toAny } from './exec-spec.ts';
import { parseHostDevice } from './host-devices.ts';
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
  const idMaps = idMapsOf(wanted);
  const labels = {
    [labelNames.uidMapping]: wanted.uidMap ?? '',
    [labelNames.gidMapping]: wanted.gidMap ?? '',
  };
  const mounts = await snapshotter.prepare(ctx, id, parent, idMaps && labels);
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
  if (wanted.restored === undefined) {
    const spec = await builtSpec(mounts, image, plan);
    return toAny(specTypeUrl, withEdits(spec, await devicesOf(wanted, ctx.log)));
  }
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
    const { uidMappings, gidMappings } = spec.linux;
    makeWorkingDir(root, spec.process.cwd, [rootOf(uidMappings), rootOf(gidMappings)]);
    return spec;
  });
}

function optionsOf({ id, namespace, wanted }: Plan): Omit<SpecOptions, 'user'> {
  const { network, seccomp, mounts = [], user: _, devices: __, ...rest } = wanted;
  const isHost = network === 'host';
  return {
    ...rest,
    id,
    namespace,
    network: isHost ? 'host' : 'none',
    seccomp: seccomp === 'unconfined' ? 'unconfined' : 'default',
    mounts: isHost ? [...hostFiles(mounts), ...mounts] : mounts,
    idMaps: idMapsOf(wanted),
    host: readHostFacts(wanted.privileged === true),
  };
}

/** @throws invalid_argument (a map, or one without the other) */
function idMapsOf({ uidMap = '', gidMap = '' }: NewContainerOfImage): UserMaps | undefined {
  if (uidMap === '' && gidMap === '') return undefined;
  if (uidMap === '' || gidMap === '') throw invalidArgument('maps of users and of groups go together');
  return { uids: parseIdMap(uidMap), gids: parseIdMap(gidMap) };
}

/** Who root is outside. */
const rootOf = (maps: readonly IdMapping[] = []): number =>
  maps.find(({ containerID }) => containerID === 0)?.hostID ?? 0;

/** @throws not_found, invalid_argument */
async function devicesOf(
  { devices = [], annotations = {} }: NewContainerOfImage,
  log: Log,
): Promise<ResolvedEdits> {
  const names = [...devices.filter(isCdiName), ...cdiNamesOf(annotations)];
  const edits = await resolveCdiDevices(names, log);
  const own = devices.filter((device) => !isCdiName(device)).map(parseHostDevice);
  return { ...edits, devices: [...own, ...edits.devices] };
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

import { mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { invalidArgument, messageOf } from '../errors/error.ts';
import { mountAll, unmountAll } from '../sys/mount.ts';
import { refuseOddRoot } from './led-astray.ts';
import { refuseOddDestinations } from './restorable-mounts.ts';
import type { TaskRequest } from './task-record.ts';

/** Mounts what the client gave as the container's root; nothing where it has mounted the root itself. */
export async function mountRootfs({ bundle, rootfs }: TaskRequest): Promise<void> {
  if (rootfs.length === 0) return;
  const target = join(bundle, 'rootfs');
  mkdirSync(target, { recursive: true, mode: 0o711 });
  await mountAll(rootfs, target);
}

/** Idempotent. */
export async function unmountRootfs({ bundle }: TaskRequest): Promise<void> {
  await unmountAll(join(bundle, 'rootfs'), { detach: true });
}

/** Once the root is mounted: what of the image could lead the runtime astray. @throws failed_precondition, invalid_argument */
export function refuseLedAstray(bundle: string): void {
  const { root, process } = readSpec(bundle);
  if (typeof root?.path === 'string') refuseOddRoot(resolve(bundle, root.path), process?.cwd);
}

/** Before a checkpoint is restored over a root: where its mounts go. @throws failed_precondition, invalid_argument */
export function refuseUnrestorable(bundle: string): void {
  const { root, mounts = [] } = readSpec(bundle);
  if (typeof root?.path !== 'string') return;
  refuseOddDestinations(
    resolve(bundle, root.path),
    mounts.map(({ destination }) => destination),
  );
}

interface SpecShape {
  readonly mounts?: readonly { readonly destination?: unknown }[];
  readonly root?: { readonly path?: string };
  readonly process?: { readonly cwd?: string };
  readonly hooks?: { readonly poststart?: unknown; readonly poststop?: unknown };
  readonly linux?: {
    readonly intelRdt?: unknown;
    readonly namespaces?: readonly { readonly type?: string; readonly path?: string }[];
    readonly cgroupsPath?: string;
  };
}

/** Whether the container's processes are not in a pid namespace of their own, and so outlive the first one. */
export function sharesPidNamespace(bundle: string): boolean {
  return !isAlone(readSpec(bundle).linux);
}

/** Whether the runtime has hooks to run once the program runs. */
export const hasPoststartHooks = (bundle: string): boolean => readSpec(bundle).hooks?.poststart !== undefined;

function isAlone(linux: SpecShape['linux']): boolean {
  const own = linux?.namespaces?.find((namespace) => namespace.type === 'pid');
  return own !== undefined && (own.path ?? '') === '';
}

/**
 * The cgroup of a container whose end leaves nothing else to do than removing it: a pid namespace of its own, so that all
 * processes ended with the first one, no poststop hooks, no resource control group. undefined for any other.
 */
export function plainCgroupOf(bundle: string): string | undefined {
  const { hooks, linux } = readSpec(bundle);
  if (!isAlone(linux) || hooks?.poststop !== undefined || linux?.intelRdt !== undefined) return undefined;
  return linux?.cgroupsPath?.startsWith('/') ? linux.cgroupsPath : undefined;
}

/** linux.cgroupsPath, '' where none is given. */
export const cgroupPathOf = (bundle: string): string => readSpec(bundle).linux?.cgroupsPath ?? '';

function readSpec(bundle: string): SpecShape {
  try {
    return JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')) as SpecShape;
  } catch (error) {
    throw invalidArgument(`config.json of ${bundle}: ${messageOf(error)}`, error);
  }
}

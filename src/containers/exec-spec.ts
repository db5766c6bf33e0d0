import type { Context } from '../async/context.ts';
import { failedPrecondition } from '../errors/error.ts';
import type { Container } from '../metadata/container-store.ts';
import type { Any } from '../oci/any.ts';
import { execProcess } from '../oci/spec/exec.ts';
import { type ProcessSpec, processTypeUrl, type RuntimeSpec, specTypeUrl } from '../oci/spec/runtime-spec.ts';
import { type ResolvedUser, resolveUser } from '../oci/spec/user.ts';
import type { Mount, Snapshotter } from '../snapshots/snapshotter.ts';
import { withTempMount } from '../sys/temp-mount.ts';
import type { WantedProcess } from './containers.ts';
import { ownCapabilities } from './host-facts.ts';
import { openRootfs, readAccountFiles } from './rootfs.ts';
import { isAlive, type TaskGlance } from './task-control.ts';

/** JSON of a spec, or of a part of one, as an Any. */
export const toAny = (typeUrl: string, value: object): Any => ({
  typeUrl,
  value: new TextEncoder().encode(JSON.stringify(value)),
});

/** The process of a container's recorded spec. @throws failed_precondition when it has none that can be read */
export function firstProcessOf({ id, spec }: Container): ProcessSpec {
  const isSpec = spec?.typeUrl.endsWith(specTypeUrl) === true;
  const found = isSpec ? (parse(spec.value)?.process as Partial<ProcessSpec> | undefined) : undefined;
  if (found?.cwd === undefined || found.user === undefined)
    throw failedPrecondition(`container ${id} has no runtime spec with a process`);
  const none = { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] };
  const { cwd, user, args = [], env = [], rlimits = [], noNewPrivileges = false } = found;
  return {
    ...found,
    ...{ cwd, user, args, env, rlimits, noNewPrivileges },
    capabilities: { ...none, ...found.capabilities },
  };
}

function parse(value: Uint8Array): Partial<RuntimeSpec> | undefined {
  try {
    return JSON.parse(Buffer.from(value).toString('utf8')) as Partial<RuntimeSpec>;
  } catch {
    return undefined; // somebody else's bytes
  }
}

/** Where to look a user up: the running task's root, else the container's snapshot. */
export interface ExecParts {
  readonly snapshotter: Snapshotter | undefined;
  readonly task: TaskGlance | undefined;
}

/** The Any for Tasks.Exec. @throws invalid_argument, failed_precondition */
export async function buildExecSpec(
  ctx: Context,
  container: Container,
  wanted: WantedProcess,
  parts: ExecParts,
): Promise<Any> {
  const user = wanted.user === '' ? undefined : await userInside(ctx, container, wanted.user, parts);
  const options = { ...wanted, user, hostCapabilities: wanted.privileged ? ownCapabilities() : [] };
  return toAny(processTypeUrl, execProcess(firstProcessOf(container), options));
}

/** Looked up in the running container as its processes see it, else in its snapshot. */
async function userInside(
  ctx: Context,
  container: Container,
  user: string,
  { snapshotter, task }: ExecParts,
): Promise<ResolvedUser> {
  if (task !== undefined && isAlive(task) && task.pid > 0) return userAt(`/proc/${task.pid}/root`, user);
  if (snapshotter === undefined || container.snapshotKey === '') return resolveUser(user, {});
  const mounts = await snapshotter.mounts(ctx, container.snapshotKey);
  return withTempMount(mounts.map(readonly), async (path) => userAt(path, user));
}

function userAt(path: string, user: string): ResolvedUser {
  using root = openRootfs(`${path}/`);
  return resolveUser(user, readAccountFiles(root));
}

/** The same files without writing: an overlay's upper directory becomes its topmost lower one. */
export function readonly(mount: Mount): Mount {
  if (mount.type !== 'overlay')
    return { ...mount, options: [...mount.options.filter((o) => o !== 'rw'), 'ro'] };
  const value = (name: string) => mount.options.find((o) => o.startsWith(`${name}=`))?.slice(name.length + 1);
  const upper = value('upperdir');
  if (upper === undefined) return mount;
  const rest = mount.options.filter((o) => !/^(?:upperdir|workdir|lowerdir)=/.test(o) && o !== 'volatile');
  return {
    ...mount,
    options: [...rest, `lowerdir=${[upper, value('lowerdir')].filter(Boolean).join(':')}`, 'ro'],
  };
}

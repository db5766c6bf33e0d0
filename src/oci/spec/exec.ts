import { capabilitySets } from './capabilities.ts';
import { checkedArgs, workingDirFor } from './command.ts';
import { environmentFor, mergeEnvironment } from './environment.ts';
import type { ProcessSpec } from './runtime-spec.ts';
import type { ResolvedUser } from './user.ts';

export interface ExecOptions {
  readonly args: readonly string[];
  /** NAME=value, over the container's own. */
  readonly env: readonly string[];
  /** '': the container's. */
  readonly workingDir: string;
  /** Absent: the container's own user. */
  readonly user?: ResolvedUser | undefined;
  readonly terminal: boolean;
  /** All of `hostCapabilities`, and new privileges allowed. */
  readonly privileged: boolean;
  readonly hostCapabilities: readonly string[];
}

/**
 * Another process of a container whose first one is `first`: same limits and rights unless privileged, inheritable and
 * ambient capabilities empty here too (CVE-2022-24769). @throws invalid_argument
 */
export function execProcess(first: ProcessSpec, options: ExecOptions): ProcessSpec {
  const { terminal: _, ...rest } = first;
  const names = options.privileged ? options.hostCapabilities : first.capabilities.bounding;
  return {
    ...rest,
    ...(options.terminal ? { terminal: true } : {}),
    user: userOf(first, options),
    args: checkedArgs(options.args),
    env: environmentOf(first, options),
    cwd: options.workingDir === '' ? first.cwd : workingDirFor(options.workingDir),
    capabilities: capabilitySets(names),
    noNewPrivileges: options.privileged ? false : first.noNewPrivileges,
  };
}

function userOf(first: ProcessSpec, { user }: ExecOptions): ProcessSpec['user'] {
  return user === undefined
    ? first.user
    : { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids };
}

function environmentOf(first: ProcessSpec, { env, terminal, user }: ExecOptions): string[] {
  const home = user === undefined ? [] : [`HOME=${user.home ?? '/'}`];
  const base = environmentFor({ image: first.env, own: home, terminal });
  return mergeEnvironment(base, env);
}

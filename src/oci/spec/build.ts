import { invalidArgument } from '../../errors/error.ts';
import type { ImageProcess } from '../image-config.ts';
import { allCapabilities, capabilitiesFor, capabilitySets } from './capabilities.ts';
import { commandFor, workingDirFor } from './command.ts';
import { maskedPaths, readonlyPaths, thermalThrottlePath } from './default-paths.ts';
import { environmentFor } from './environment.ts';
import type { IdMapping } from './id-maps.ts';
import { mountsFor } from './mounts.ts';
import { type ResourceLimits, resourcesFor } from './resources.ts';
import {
  type Device,
  type LinuxSpec,
  ociVersion,
  type ProcessSpec,
  type RuntimeSpec,
  type SpecMount,
} from './runtime-spec.ts';
import { defaultSeccomp } from './seccomp.ts';
import type { ResolvedUser } from './user.ts';

/** What the caller wants; everything but `id`, `namespace` and `user` has a default. */
export interface SpecOptions extends ResourceLimits {
  readonly id: string;
  readonly namespace: string;
  /** Looked up in the image beforehand, see resolveUser. */
  readonly user: ResolvedUser;
  readonly args?: readonly string[];
  readonly entrypoint?: string | undefined;
  /** NAME=value. */
  readonly env?: readonly string[];
  readonly mounts?: readonly SpecMount[];
  /** '' or absent: the image's. */
  readonly workingDir?: string;
  readonly terminal?: boolean;
  readonly readOnly?: boolean;
  /** '' or absent: the first 12 characters of the id. */
  readonly hostname?: string;
  /** Default: none (a network namespace with nothing but a loopback). */
  readonly network?: 'host' | 'none';
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  readonly privileged?: boolean;
  readonly newPrivilegesAllowed?: boolean;
  readonly seccomp?: 'default' | 'unconfined';
  /** A user namespace with these maps. */
  readonly idMaps?: UserMaps | undefined;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly host: HostFacts;
}

/** Whom the ids of a user namespace are outside. */
export interface UserMaps {
  readonly uids: readonly IdMapping[];
  readonly gids: readonly IdMapping[];
}

/** What the spec needs to know of this machine, so that building it stays a pure function. */
export interface HostFacts {
  /** Image-spec name, e.g. `amd64`. */
  readonly architecture: string;
  /** Capabilities of the daemon: nobody can be given more. Default: all. */
  readonly capabilities?: readonly string[];
  /** CPUs with thermal counters to hide. */
  readonly thermalCpus?: readonly number[];
  /** The machine has only cgroup v2: containers get a cgroup namespace. */
  readonly unifiedCgroups?: boolean;
  /** Devices that a privileged container sees. */
  readonly devices?: readonly Device[];
}

/**
 * The runtime spec of a container of an image, `root.path` = `rootfs` (relative to the bundle). Pure.
 * @throws invalid_argument naming the option
 */
export function buildSpec(image: ImageProcess, options: SpecOptions): RuntimeSpec {
  const privileged = options.privileged ?? false;
  const capabilities = capabilityNames(options);
  return {
    ociVersion,
    process: processFor(image, options, capabilities),
    root: { path: 'rootfs', ...(options.readOnly ? { readonly: true } : {}) },
    hostname: hostnameFor(options),
    mounts: mountsFor(options.mounts ?? [], privileged),
    linux: linuxFor(options, capabilities),
    ...(Object.keys(options.annotations ?? {}).length > 0 && { annotations: { ...options.annotations } }),
  };
}

function capabilityNames(options: SpecOptions): readonly string[] {
  const host = options.host.capabilities ?? allCapabilities;
  if (options.privileged) return host;
  return capabilitiesFor({ add: options.capAdd ?? [], drop: options.capDrop ?? [], host });
}

/** containerd's default: enough for most, and never above what a daemon without CAP_SYS_RESOURCE may set. */
const rlimits = [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }];

function processFor(image: ImageProcess, options: SpecOptions, capabilities: readonly string[]): ProcessSpec {
  const { uid, gid, additionalGids, home } = options.user;
  const terminal = options.terminal ?? false;
  return {
    ...(terminal ? { terminal } : {}),
    user: { uid, gid, additionalGids },
    args: commandFor({ image, args: options.args ?? [], entrypoint: options.entrypoint }),
    env: environmentFor({
      image: image.env,
      own: options.env ?? [],
      terminal,
      home: home ?? '/',
      hostname: hostnameFor(options),
    }),
    cwd: workingDirFor(options.workingDir || image.workingDir),
    capabilities: capabilitySets(capabilities),
    rlimits,
    noNewPrivileges: !options.privileged && !options.newPrivilegesAllowed,
  };
}

function linuxFor(options: SpecOptions, capabilities: readonly string[]): LinuxSpec {
  const { host, id, namespace } = options;
  const privileged = options.privileged ?? false;
  const confined = !privileged && options.seccomp !== 'unconfined';
  return {
    namespaces: namespacesFor(options),
    cgroupsPath: `/${namespace}/${id}`,
    ...(options.idMaps && { uidMappings: options.idMaps.uids, gidMappings: options.idMaps.gids }),
    resources: resourcesFor(options, privileged),
    ...(privileged && host.devices !== undefined ? { devices: host.devices } : {}),
    maskedPaths: privileged ? [] : [...maskedPaths, ...(host.thermalCpus ?? []).map(thermalThrottlePath)],
    readonlyPaths: privileged ? [] : readonlyPaths,
    ...(confined ? { seccomp: defaultSeccomp(capabilities, host.architecture) } : {}),
  };
}

function namespacesFor({ network, host, idMaps }: SpecOptions): { type: string }[] {
  const types = ['pid', 'ipc', 'uts', 'mount'];
  if (network !== 'host') types.push('network');
  if (host.unifiedCgroups) types.push('cgroup');
  if (idMaps !== undefined) types.push('user');
  return types.map((type) => ({ type }));
}

function hostnameFor({ hostname, id }: SpecOptions): string {
  const name = hostname || id.slice(0, 12).replace(/[^A-Za-z0-9.-]/g, '-');
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) return name;
  throw invalidArgument(
    `hostname ${JSON.stringify(name.slice(0, 100))}: want up to 63 letters, digits, '.', '-'`,
  );
}

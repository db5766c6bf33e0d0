import { existsSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { ContainerMount, ContainerOptions } from '../client/index.ts';
import { invalidArgument, messageOf } from '../errors/error.ts';
import { collect } from './command.ts';
import { CliError } from './failure.ts';
import { parseEnv, parseEnvFile, parseLabels } from './parse/env.ts';
import { parseMount, parseTmpfs, parseVolume } from './parse/mount.ts';
import { parseSignal } from './parse/signal.ts';
import { parseCount, parseCpus, parseSize } from './parse/size.ts';
import { subordinateIds } from './parse/subordinate-ids.ts';
import { restartLabelsOf } from './restart-labels.ts';

/** The options of `berth run` as commander gives them. */
export interface RunOptions {
  readonly detach?: true;
  readonly interactive?: true;
  readonly tty?: true;
  readonly rm?: true;
  readonly restart?: string;
  readonly name?: string;
  readonly env?: readonly string[];
  readonly envFile?: readonly string[];
  readonly volume?: readonly string[];
  readonly mount?: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly workdir?: string;
  readonly user?: string;
  readonly entrypoint?: string;
  readonly memory?: string;
  readonly cpus?: string;
  readonly pidsLimit?: string;
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  readonly readOnly?: true;
  readonly network?: string;
  readonly runtime?: string;
  readonly label?: readonly string[];
  readonly privileged?: true;
  readonly hostname?: string;
  readonly stopSignal?: string;
  readonly securityOpt?: readonly string[];
  readonly device?: readonly string[];
  readonly annotation?: readonly string[];
  readonly uidmap?: readonly string[];
  readonly gidmap?: readonly string[];
  readonly usernsRemap?: string;
  readonly pull: string;
  readonly platform?: string;
  readonly snapshotter?: string;
  readonly sigProxy: boolean;
  readonly detachKeys: string;
  readonly quiet?: true;
  readonly plainHttp?: true;
}

/** Flags named as in docker and nerdctl. */
export function addRunOptions(command: Command): void {
  command
    .option('-d, --detach', 'run in the background and print the id')
    .option('-i, --interactive', 'connect standard input')
    .option('-t, --tty', 'give the container a terminal')
    .option('--rm', 'remove the container when it ends')
    .option('--restart <policy>', 'no, always, on-failure[:times] or unless-stopped; needs -d')
    .option('--name <name>', 'name of the container')
    .option('-e, --env <name[=value]>', 'set an environment variable', collect)
    .option('--env-file <file>', 'read environment variables from a file', collect)
    .option('-v, --volume <host:container[:ro]>', 'mount a directory or file of the host', collect)
    .option('--mount <type=…,source=…,target=…>', 'mount, in the long form', collect)
    .option('--tmpfs <path[:options]>', 'mount an empty file system in memory', collect)
    .option('-w, --workdir <path>', 'working directory in the container')
    .option('-u, --user <user[:group]>', 'name or number of user and group')
    .option('--entrypoint <command>', "run this instead of the image's entrypoint")
    .option('-m, --memory <size>', 'limit of memory, e.g. 512m')
    .option('--cpus <number>', 'limit of CPUs, e.g. 1.5')
    .option('--pids-limit <number>', 'limit of processes, -1 for none')
    .option('--cap-add <name>', 'add a capability', collect)
    .option('--cap-drop <name>', 'drop a capability, or ALL', collect)
    .option('--read-only', 'mount the root file system read-only')
    .option('--net, --network <mode>', 'host or none (default: none)')
    .option('--runtime <name>', 'OCI runtime, e.g. crun, or a shim, e.g. io.containerd.runc.v2')
    .option('-l, --label <key=value>', 'set a label', collect)
    .option('--privileged', 'give all capabilities and devices')
    .option('-h, --hostname <name>', 'host name in the container')
    .option('--stop-signal <signal>', 'signal that berth stop sends')
    .option('--security-opt <option>', 'seccomp=unconfined or no-new-privileges[=false]', collect)
    .option('--device <device>', 'host[:container[:rwm]], or vendor/class=name (CDI)', collect)
    .option('--annotation <key=value>', 'annotate the runtime specification', collect)
    .option('--uidmap <inside:outside:size>', 'user namespace: whom its users are outside', collect)
    .option('--gidmap <inside:outside:size>', 'user namespace: whom its groups are outside', collect)
    .option('--userns-remap <user>', 'user namespace with the ranges of /etc/subuid and /etc/subgid')
    .option('--pull <when>', 'always, missing or never', 'missing')
    .option('--platform <os/arch>', "platform of the image; default: this machine's")
    .option('--snapshotter <name>', 'snapshotter for the root file system')
    .option('--no-sig-proxy', 'do not send signals on to the container', true)
    .option('--detach-keys <keys>', 'keys that leave the container running', 'ctrl-p,ctrl-q')
    .option('-q, --quiet', 'do not show the progress of a pull')
    .option('--plain-http', 'speak HTTP without TLS to the registry');
}

interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** What the container is made from. @throws invalid_argument naming the flag's value, CliError */
export function containerOptions(
  image: string,
  args: readonly string[],
  options: RunOptions,
  { env, cwd }: Surroundings,
): ContainerOptions {
  return definedOnly({
    image,
    args,
    name: options.name,
    entrypoint: options.entrypoint,
    env: environment(options, env),
    mounts: mounts(options, cwd),
    workdir: options.workdir,
    user: options.user,
    terminal: options.tty,
    readOnly: options.readOnly,
    hostname: options.hostname,
    network: network(options.network),
    memoryBytes: mapped(options.memory, parseSize),
    cpuMillis: mapped(options.cpus, parseCpus),
    pidsLimit: mapped(options.pidsLimit, (text) => Math.max(0, parseCount(text, 'limit of processes', -1))),
    capAdd: options.capAdd,
    capDrop: options.capDrop,
    privileged: options.privileged,
    runtime: options.runtime,
    labels: { ...keptRunning(options), ...parseLabels(options.label ?? []) },
    snapshotter: options.snapshotter,
    stopSignal: mapped(options.stopSignal, stopSignal),
    logs: options.detach === true || options.rm !== true,
    autoRemove: options.rm,
    devices: options.device,
    annotations: options.annotation && parseLabels(options.annotation),
    ...idMaps(options),
    ...securityOptions(options.securityOpt ?? []),
  });
}

/** What keeps it running; nothing without a policy. @throws invalid_argument, CliError */
function keptRunning({ restart = 'no', rm, detach }: RunOptions): Record<string, string> {
  const labels = restartLabelsOf(restart);
  if (Object.keys(labels).length === 0) return labels;
  if (rm === true) throw new CliError('--restart and --rm exclude each other', { exitCode: 125 });
  if (detach !== true) throw new CliError('--restart needs -d', { exitCode: 125 });
  return labels;
}

type Undefinable<T> = { [K in keyof T]: T[K] | undefined };

function definedOnly(options: Undefinable<ContainerOptions>): ContainerOptions {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as unknown as ContainerOptions;
}

const mapped = <T>(text: string | undefined, parse: (text: string) => T): T | undefined =>
  text === undefined ? undefined : parse(text);

function stopSignal(text: string): string {
  parseSignal(text);
  return text;
}

function environment(options: RunOptions, env: Surroundings['env']): string[] {
  const files = readEnvFiles(options.envFile ?? [], env);
  const single = (options.env ?? []).map((text) => parseEnv(text, env));
  const terminal = options.tty === true ? ['TERM=xterm'] : [];
  return [...terminal, ...files, ...single.filter((variable) => variable !== undefined)];
}

/** Variables of all files in their order. @throws invalid_argument naming file and line */
export const readEnvFiles = (files: readonly string[], env: Surroundings['env']): string[] =>
  files.flatMap((file) => parseEnvFile(readText(file), file, env));

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw invalidArgument(`cannot read ${file}: ${messageOf(error)}`, error);
  }
}

function mounts(options: RunOptions, cwd: string): ContainerMount[] {
  const volumes = (options.volume ?? []).map((text) => parseVolume(text, cwd));
  const long = (options.mount ?? []).map((text) => parseMount(text, cwd));
  for (const { type, source } of [...volumes, ...long]) {
    if (type === 'bind' && !existsSync(source)) {
      throw new CliError(`mount source ${source} does not exist`, { exitCode: 125, hint: 'make it first' });
    }
  }
  return [...volumes, ...long, ...(options.tmpfs ?? []).map(parseTmpfs)];
}

function network(mode: string | undefined): 'host' | 'none' | undefined {
  if (mode === undefined || mode === 'host' || mode === 'none') return mode;
  throw invalidArgument(`network ${JSON.stringify(mode)} is not supported, want host or none`);
}

/** One map alone counts for users and groups alike. @throws CliError, invalid_argument */
function idMaps({ uidmap, gidmap, usernsRemap }: RunOptions): Pick<ContainerOptions, 'uidMap' | 'gidMap'> {
  if (usernsRemap !== undefined && (uidmap ?? gidmap) !== undefined)
    throw new CliError('--userns-remap excludes --uidmap and --gidmap', { exitCode: 125 });
  if (usernsRemap !== undefined) return subordinateIds(usernsRemap, readText);
  const [users, groups] = [uidmap ?? gidmap, gidmap ?? uidmap];
  return users === undefined || groups === undefined ? {} : { uidMap: users.join(), gidMap: groups.join() };
}

function securityOptions(
  texts: readonly string[],
): Pick<Undefinable<ContainerOptions>, 'seccomp' | 'newPrivilegesAllowed'> {
  let seccomp: 'unconfined' | undefined;
  let newPrivilegesAllowed: boolean | undefined;
  for (const text of texts) {
    if (/^seccomp[=:]unconfined$/.test(text)) seccomp = 'unconfined';
    else if (/^no-new-privileges(?:[=:]true)?$/.test(text)) newPrivilegesAllowed = false;
    else if (/^no-new-privileges[=:]false$/.test(text)) newPrivilegesAllowed = true;
    else {
      throw invalidArgument(
        `security option ${JSON.stringify(text)} is not supported, want seccomp=unconfined or no-new-privileges[=false]`,
      );
    }
  }
  return { seccomp, newPrivilegesAllowed };
}

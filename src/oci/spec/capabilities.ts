import { invalidArgument } from '../../errors/error.ts';
import type { CapabilitySets } from './runtime-spec.ts';

/** All capabilities by their number in capability.h (Linux 5.9 and later have all 41). */
export const allCapabilities: readonly string[] = (
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE ' +
  'NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT ' +
  'SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP ' +
  'MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
)
  .split(' ')
  .map((name) => `CAP_${name}`);

/** What a container gets when nobody says anything: the fourteen of Docker and containerd. */
export const defaultCapabilities: readonly string[] = (
  'CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL ' +
  'AUDIT_WRITE'
)
  .split(' ')
  .map((name) => `CAP_${name}`);

export interface CapabilityOptions {
  /** `NET_ADMIN`, `cap_net_admin` or `ALL`. */
  readonly add: readonly string[];
  readonly drop: readonly string[];
  /** Capabilities the daemon may hand out; `ALL` means these. */
  readonly host: readonly string[];
}

/** Defaults, plus `add`, minus `drop`; a name in both is kept, `drop` ALL leaves only `add`. @throws invalid_argument (unknown name) */
export function capabilitiesFor(options: CapabilityOptions): string[] {
  const add = namesOf(options.add, options.host);
  const drop = new Set(namesOf(options.drop, allCapabilities));
  const base = [...defaultCapabilities, ...(hasAll(options.add) ? add : [])].filter(
    (name) => !drop.has(name),
  );
  const wanted = new Set([...base, ...(hasAll(options.add) ? [] : add)]);
  return allCapabilities.filter((name) => wanted.has(name));
}

/** Nothing inheritable, nothing ambient (CVE-2022-24769). */
export const capabilitySets = (names: readonly string[]): CapabilitySets => ({
  bounding: names,
  effective: names,
  permitted: names,
  inheritable: [],
  ambient: [],
});

/** Names out of a bit mask in hexadecimal, as `CapEff:` of /proc/<pid>/status has it. */
export const capabilitiesOfMask = (hex: string): string[] =>
  allCapabilities.filter((_, bit) => ((BigInt(`0x${hex}`) >> BigInt(bit)) & 1n) === 1n);

const hasAll = (names: readonly string[]): boolean => names.some((name) => name.toUpperCase() === 'ALL');

const namesOf = (names: readonly string[], all: readonly string[]): readonly string[] =>
  hasAll(names) ? all : names.map(capabilityName);

function capabilityName(text: string): string {
  const upper = text.toUpperCase();
  const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  if (allCapabilities.includes(name)) return name;
  throw invalidArgument(`unknown capability ${JSON.stringify(text.slice(0, 100))}`);
}

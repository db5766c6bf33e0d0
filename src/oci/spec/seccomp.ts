import { notImplemented } from '../../errors/error.ts';
import {
  allowedByArchitecture,
  allowedByCapability,
  alwaysAllowed,
  seccompArchitectures,
} from './seccomp-syscalls.ts';

/** `linux.seccomp` of the runtime spec. */
export interface SeccompProfile {
  readonly defaultAction: 'SCMP_ACT_ERRNO';
  readonly architectures: readonly string[];
  readonly syscalls: readonly SyscallRule[];
}

export interface SyscallRule {
  readonly names: readonly string[];
  readonly action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  readonly errnoRet?: number;
  readonly args?: readonly SyscallArgument[];
}

export interface SyscallArgument {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: 'SCMP_CMP_EQ' | 'SCMP_CMP_MASKED_EQ';
}

const ENOSYS = 38;
/** CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}. CLONE_NEWTIME shares bits with clone's exit signal: clone3 only. */
const namespaceFlags = 0x7e02_0000;

/**
 * The default profile: a list of what is allowed, everything else fails with EPERM. Depends on the capabilities of the
 * container (`CAP_…`) and the architecture (image-spec name).
 * unshare needs CAP_SYS_ADMIN, as in containerd; Docker has allowed it since 2025.
 * @throws not_implemented on an architecture it does not know: never silently unconfined (CVE-2024-23653)
 */
export function defaultSeccomp(capabilities: readonly string[], architecture: string): SeccompProfile {
  const architectures = seccompArchitectures[architecture];
  if (architectures === undefined) throw notImplemented(`no default seccomp profile for ${architecture}`);
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    architectures,
    syscalls: [
      allow(namesFor(capabilities, architecture)),
      ...socketRules,
      ...personalityRules,
      ...(capabilities.includes('CAP_SYS_ADMIN') ? [] : cloneRules(architecture)),
    ],
  };
}

function namesFor(capabilities: readonly string[], architecture: string): string[] {
  const gated = capabilities.flatMap((name) => allowedByCapability[name] ?? []);
  return [...new Set([...alwaysAllowed, ...(allowedByArchitecture[architecture] ?? []), ...gated])];
}

const allow = (names: readonly string[], ...args: SyscallArgument[]): SyscallRule => ({
  names,
  action: 'SCMP_ACT_ALLOW',
  ...(args.length === 0 ? {} : { args }),
});

const maskedEqual = (index: number, mask: number, equals: number): SyscallArgument => ({
  index,
  value: mask,
  valueTwo: equals,
  op: 'SCMP_CMP_MASKED_EQ',
});

/**
 * Address families 0 to 63 without AF_ALG = 38 (CVE-2026-31431) and AF_VSOCK = 40. Each rule is a block of families
 * with the same upper bits; the mask looks at 32 bits because that is what the kernel takes of the register, so
 * `1 << 32 | AF_ALG` is refused too. `socketcall` would pass the family behind a pointer and is not allowed: C
 * libraries have not needed it since Linux 4.3.
 */
const socketRules: readonly SyscallRule[] = (
  [
    [0, 32],
    [32, 4],
    [36, 2],
    [39, 1],
    [41, 1],
    [42, 2],
    [44, 4],
    [48, 16],
  ] as const
).map(([first, count]) => allow(['socket'], maskedEqual(0, 0xffff_ffff - (count - 1), first)));

/** Linux, its 32-bit and old-uname variants, and the query. */
const personalityRules: readonly SyscallRule[] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff].map((value) =>
  allow(['personality'], { index: 0, value, op: 'SCMP_CMP_EQ' }),
);

/** Threads and forks yes, new namespaces no. clone3 hides its flags behind a pointer: C libraries fall back on ENOSYS. */
const cloneRules = (architecture: string): readonly SyscallRule[] => [
  allow(['clone'], maskedEqual(architecture === 's390x' ? 1 : 0, namespaceFlags, 0)),
  { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
];

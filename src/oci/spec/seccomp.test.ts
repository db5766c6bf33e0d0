import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allCapabilities, defaultCapabilities } from './capabilities.ts';
import { defaultSeccomp, type SeccompProfile } from './seccomp.ts';

const profile = defaultSeccomp(defaultCapabilities, 'amd64');
const plain = (p: SeccompProfile): Set<string> =>
  new Set(
    p.syscalls.filter((r) => r.action === 'SCMP_ACT_ALLOW' && r.args === undefined).flatMap((r) => r.names),
  );

/** What the rules for `name` say about a first argument. */
function allows(p: SeccompProfile, name: string, value: bigint): boolean {
  return p.syscalls.some(
    ({ names, action, args }) =>
      names.includes(name) &&
      action === 'SCMP_ACT_ALLOW' &&
      (args ?? []).every((a) =>
        a.op === 'SCMP_CMP_EQ'
          ? BigInt(a.value) === value
          : (value & BigInt(a.value)) === BigInt(a.valueTwo ?? 0),
      ),
  );
}

const never =
  'keyctl add_key request_key userfaultfd io_uring_setup io_uring_enter io_uring_register kexec_load nfsservctl';
const gated =
  'bpf mount umount2 setns unshare clone3 perf_event_open open_by_handle_at init_module reboot settimeofday pivot_root swapon socketcall fsopen move_mount open_tree mount_setattr syslog acct iopl kcmp process_vm_readv pidfd_getfd';

for (const name of `${never} ${gated}`.split(' '))
  test(`CVE-2026-31431: ${name} is not allowed by default`, () => {
    assert.ok(!plain(profile).has(name));
  });

test('never even with every capability: keys, userfaultfd, io_uring', () => {
  const names = plain(defaultSeccomp(allCapabilities, 'amd64'));
  for (const name of never.split(' ')) assert.ok(!names.has(name), name);
});

test('a capability unlocks its system calls', () => {
  assert.ok(plain(defaultSeccomp(['CAP_SYS_ADMIN'], 'amd64')).has('mount'));
  assert.ok(plain(defaultSeccomp(['CAP_SYS_TIME'], 'amd64')).has('settimeofday'));
  assert.ok(plain(profile).has('chroot'));
  assert.ok(!plain(defaultSeccomp([], 'amd64')).has('chroot'));
});

test('CVE-2026-31431: only AF_ALG and AF_VSOCK sockets are refused, also with rubbish in the upper half', () => {
  for (let family = 0; family < 46; family++) {
    const expected = family !== 38 && family !== 40;
    assert.equal(allows(profile, 'socket', BigInt(family)), expected, `family ${family}`);
    assert.equal(allows(profile, 'socket', BigInt(family) + (1n << 32n)), expected, `family 1<<32|${family}`);
  }
});

test('clone may fork and make threads and no namespaces; clone3 does not exist', () => {
  const SIGCHLD = 17n;
  assert.ok(allows(profile, 'clone', SIGCHLD));
  assert.ok(allows(profile, 'clone', 0x3d0f00n));
  for (const bit of [
    0x2_0000n,
    0x200_0000n,
    0x400_0000n,
    0x800_0000n,
    0x1000_0000n,
    0x2000_0000n,
    0x4000_0000n,
  ])
    assert.ok(!allows(profile, 'clone', bit | SIGCHLD), bit.toString(16));
  const clone3 = profile.syscalls.find((rule) => rule.names.includes('clone3'));
  assert.deepEqual([clone3?.action, clone3?.errnoRet], ['SCMP_ACT_ERRNO', 38]);
});

test('CVE-2024-23653: an unknown architecture fails closed', () => {
  assert.throws(() => defaultSeccomp([], 'pdp11'), { kind: 'not_implemented' });
  assert.deepEqual(defaultSeccomp([], 'arm64').architectures, ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM']);
});

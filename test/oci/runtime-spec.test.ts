import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import type { SpecOptions } from '../../src/oci/spec/build.ts';
import { type Outcome, runBundle, specOf } from './run-bundle.ts';

const isHere = (name: string): boolean =>
  ['/usr/sbin', '/usr/bin'].some((dir) => existsSync(`${dir}/${name}`));

for (const runtime of ['runc', 'crun'] as const) {
  const missing = isHere(runtime) ? false : `${runtime} is not installed`;
  const it = (name: string, body: () => Promise<void>) =>
    test(`${runtime}: ${name}`, { skip: missing }, body);
  const run = (script: string, options: Partial<SpecOptions> = {}): Promise<Outcome> =>
    runBundle(runtime, specOf({ args: ['/bin/sh', '-c', script], ...options }));
  const perl = (script: string, options: Partial<SpecOptions> = {}): Promise<Outcome> =>
    runBundle(runtime, specOf({ args: ['/usr/bin/perl', '-e', script], ...options }));

  it('the built spec starts a process with the rights it says', async () => {
    const { stdout, stderr } = await run('cat /proc/self/status; hostname; pwd; env', { hostname: 'hullo' });
    const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(stdout)?.[1];
    assert.equal(field('CapInh'), '0000000000000000', `CVE-2022-24769 ${stderr}`);
    assert.equal(field('CapAmb'), '0000000000000000');
    assert.equal(field('CapEff'), '00000000a80425fb');
    assert.equal(field('CapBnd'), '00000000a80425fb');
    assert.equal(field('NoNewPrivs'), '1');
    assert.equal(field('Seccomp'), '2');
    assert.match(stdout, /^hullo\n\/$/m);
    assert.match(stdout, /^PATH=/m);
    assert.doesNotMatch(stdout, /CANARY/, 'CVE-2026-57231');
  });

  it('CVE-2023-25173, CVE-2018-1000400: a user has exactly its ids, its groups and no capabilities', async () => {
    const user = { uid: 1000, gid: 1001, additionalGids: [1001, 10], home: '/home/app' };
    const { stdout, stderr } = await run('cat /proc/self/status; echo HOME=$HOME', { user });
    assert.match(stdout, /^Uid:\s1000\s1000\s1000\s1000$/m, stderr);
    assert.match(stdout, /^Gid:\s1001\s1001\s1001\s1001$/m);
    assert.match(stdout, /^Groups:\s*(?:1001 10|10 1001) *$/m);
    for (const set of ['CapPrm', 'CapEff', 'CapAmb'])
      assert.match(stdout, new RegExp(`^${set}:\\s0{16}$`, 'm'));
    assert.match(stdout, /^HOME=\/home\/app$/m);
  });

  it('GHSA-7ww5-4wqc-m92c: masked paths are empty or absent, read-only ones refuse writing', async () => {
    const files = 'kcore keys timer_list interrupts latency_stats sched_debug timer_stats'.split(' ');
    const dirs = [
      '/proc/acpi',
      '/proc/scsi',
      '/proc/asound',
      '/sys/firmware',
      '/sys/devices/virtual/powercap',
    ];
    const reads = [
      ...files.map((name) => `cat /proc/${name} 2>/dev/null | head -c 10`),
      ...dirs.map((path) => `ls -A ${path} 2>/dev/null`),
      'cat /sys/devices/system/cpu/cpu*/thermal_throttle/* 2>/dev/null',
    ].join('; ');
    assert.equal((await run(`${reads}; true`)).stdout, '');
    const write = await run(
      'echo 1 > /proc/sys/kernel/panic; echo $?; d=/sys/fs/cgroup/memory; test -d $d || d=/sys/fs/cgroup; mkdir $d/x; echo $?',
    );
    assert.doesNotMatch(write.stdout, /^0$/m);
  });

  it('CVE-2026-31431: AF_ALG, AF_VSOCK, keys, bpf, mounts and namespaces are refused; the ordinary works', async () => {
    const script = `
      sub sock { socket(my $s, $_[0], 2, 0) ? "ok" : $!+0 }
      sub call { my $n = shift; my $r = syscall($n, @_); $r < 0 ? $!+0 : "ok" }
      print join(" ", map { sock($_) } 38, 40, 2, 1), "\\n";
      print join(" ", call(41, 0x100000026, 5, 0), call(41, 0x100000028, 1, 0)), "\\n";
      print join(" ", call(250, 0, -1, 0), call(321, 0, 0, 0), call(323, 0), call(425, 1, 0), call(272, 0x20000),
        call(308, 0, 0), call(165, 0, 0, 0, 0, 0), call(435, 0, 0)), "\\n";
      my $pid = fork(); exit 0 if $pid == 0; waitpid($pid, 0); print "fork $?\\n";
      print call(56, 0x10000011, 0, 0, 0, 0), "\\n";`;
    const { stdout, stderr } = await perl(script);
    const [sockets, upper, calls, fork, clone] = stdout.split('\n');
    assert.equal(sockets, '1 1 ok ok', stderr);
    if (process.arch !== 'x64') return;
    assert.equal(upper, '1 1');
    assert.equal(calls, '1 1 1 1 1 1 1 38');
    assert.equal(fork, 'fork 0');
    assert.equal(clone, '1', 'clone with CLONE_NEWUSER');
  });

  it('a capability unlocks its calls, and unconfined has no filter', async () => {
    const script = 'print syscall(272, 0x20000), "\\n"';
    const { stdout } = await perl(script, { capAdd: ['SYS_ADMIN'] });
    if (process.arch === 'x64') assert.equal(stdout, '0\n');
    const free = await run('grep Seccomp: /proc/self/status', { seccomp: 'unconfined' });
    assert.match(free.stdout, /^Seccomp:\s0$/m);
  });

  it('a read-only root is read-only and the mounts asked for are there', async () => {
    const tmp = { type: 'tmpfs', source: 'tmpfs', destination: '/data', options: ['size=1m'] };
    const usr = { type: 'bind', source: '/usr', destination: '/usr', options: ['ro'] };
    const script = 'touch /x; echo $?; touch /data/x; echo $?; touch /usr/x; echo $?; cat /proc/mounts';
    const { stdout } = await run(script, { readOnly: true, mounts: [usr, tmp] });
    assert.match(stdout, /^[1-9]\n0\n[1-9]\n/);
    assert.match(stdout, /^tmpfs \/data tmpfs .*nosuid,nodev,noexec/m);
  });

  it('limits reach the kernel', async () => {
    const script =
      'ulimit -n; f=/sys/fs/cgroup; cat $f/memory/memory.limit_in_bytes $f/memory.max 2>/dev/null; cat $f/pids/pids.max $f/pids.max 2>/dev/null';
    const { stdout, stderr, code } = await run(script, {
      memoryBytes: 64 << 20,
      cpuMillis: 500,
      pidsLimit: 50,
    });
    assert.equal(stdout, `1024\n${64 << 20}\n50\n`, `${code} ${stderr}`);
  });

  it('a privileged container has what the daemon has', async () => {
    const script =
      'grep -E "Seccomp:|CapEff|NoNewPrivs" /proc/self/status; test -e /dev/null && test -e /dev/full && echo dev; ls /proc/acpi /sys/firmware | head -1';
    const { stdout, stderr } = await run(script, { privileged: true });
    assert.match(stdout, /^Seccomp:\s0$/m, stderr);
    assert.match(stdout, /^NoNewPrivs:\s0$/m);
    assert.match(stdout, /^dev$/m);
  });

  it('without a network there is a loopback only; on the host the host', async () => {
    const none = await run('ls /sys/class/net');
    assert.doesNotMatch(none.stdout, /eth|en/);
    const host = await run('ls /sys/class/net; hostname', { network: 'host' });
    assert.equal(host.code, 0, host.stderr);
  });

  it('an exit code comes through', async () => {
    assert.equal((await run('exit 7')).code, 7);
  });
}

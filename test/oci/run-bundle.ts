import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readHostFacts } from '../../src/containers/host-facts.ts';
import { buildSpec, type SpecOptions } from '../../src/oci/spec/build.ts';
import type { RuntimeSpec } from '../../src/oci/spec/runtime-spec.ts';

/** How a program inside a container ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const emptyImage = {
  user: '',
  env: [],
  entrypoint: [],
  cmd: [],
  workingDir: '',
  labels: {},
  stopSignal: '',
  exposedPorts: [],
  volumes: [],
};

/** A spec whose root sees the machine's own /usr, read-only. */
export function specOf(options: Partial<SpecOptions>): RuntimeSpec {
  const usr = { type: 'bind', source: '/usr', destination: '/usr', options: ['rbind', 'ro'] };
  return buildSpec(emptyImage, {
    id: `berth-test-${process.pid}-${Math.random().toString(16).slice(2)}`,
    namespace: 'berth-test',
    user: { uid: 0, gid: 0, additionalGids: [0] },
    host: readHostFacts(options.privileged === true),
    mounts: [usr],
    ...options,
  });
}

/** Runs a spec with a runtime on a throw-away bundle. */
export async function runBundle(runtime: 'runc' | 'crun', spec: RuntimeSpec): Promise<Outcome> {
  const work = mkdtempSync('/var/tmp/berth-oci-test-');
  try {
    makeBundle(work, spec);
    const id = spec.linux.cgroupsPath.split('/').at(-1) ?? 'test';
    const run = [runtime, '--root', join(work, 'state'), 'run', '--bundle', work, id];
    return await execute(runtime === 'crun' ? hideUnified(run) : run);
  } finally {
    rmSync(work, { recursive: true, force: true });
    removeParentCgroups();
  }
}

function makeBundle(work: string, spec: RuntimeSpec): void {
  const rootfs = join(work, 'rootfs');
  mkdirSync(join(rootfs, 'usr'), { recursive: true });
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) symlinkSync(`usr/${name}`, join(rootfs, name));
  writeFileSync(join(work, 'config.json'), JSON.stringify(spec));
}

/** Runtimes remove a container's cgroup and leave the one of its namespace. */
function removeParentCgroups(): void {
  const root = '/sys/fs/cgroup';
  for (const path of [root, ...readdirSync(root).map((name) => join(root, name))])
    try {
      rmdirSync(join(path, 'berth-test'));
    } catch {
      // not there, or still in use by a test that runs beside this one
    }
}

/** crun refuses hybrid cgroups: it must not see the unified tree. */
const hideUnified = (command: readonly string[]): string[] => [
  'unshare',
  '-m',
  'sh',
  '-c',
  'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"',
  'sh',
  ...command,
];

function execute([file = '', ...args]: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const done = (error: Error | null, stdout: string, stderr: string) => {
      const code = error === null ? 0 : 'code' in error && typeof error.code === 'number' ? error.code : 255;
      resolve({ code, stdout, stderr });
    };
    execFile(file, args, { timeout: 30_000, env: { PATH: process.env.PATH, CANARY: 'canary' } }, done);
  });
}

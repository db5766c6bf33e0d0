import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { runCommand } from './run-command.ts';

/** An OCI runtime on this host. */
export interface RuntimeBinary {
  /** Path, or a name looked up in PATH. */
  readonly file: string;
  /** Newest version of the runtime specification that it says it knows, e.g. `1.0.0`; '' when it does not say. */
  readonly specVersion: string;
  readonly isCrun: boolean;
  /** runc itself, of a version whose ways we know. */
  readonly isRunc: boolean;
  /** Whether it can have criu checkpoint and restore; crun says so when it was built with it. */
  readonly knowsCriu: boolean;
}

const known = new Map<string, Promise<RuntimeBinary>>();

/** The runtime of that name, asked for its version once. @throws not_found */
export function runtimeBinary(file: string): Promise<RuntimeBinary> {
  let binary = known.get(file);
  if (binary === undefined) {
    binary = describe(file);
    known.set(file, binary);
    binary.catch(() => known.delete(file));
  }
  return binary;
}

/** crun where it can run (10 ms a container against runc's 28), else runc. */
export const defaultRuntime = (): Promise<RuntimeBinary> =>
  runtimeBinary(inPath('crun') && !hybridCgroups() ? 'crun' : 'runc');

async function describe(file: string): Promise<RuntimeBinary> {
  const { stdout } = await runCommand({ file, args: ['--version'], timeoutMs: 10_000 });
  const specVersion = /^spec: (\d+\.\d+\.\d+)/m.exec(stdout)?.[1] ?? '';
  const isCrun = stdout.startsWith('crun ');
  return {
    file,
    specVersion,
    isCrun,
    isRunc: stdout.startsWith('runc version 1.'),
    knowsCriu: !isCrun || stdout.includes('+CRIU'),
  };
}

/** crun refuses hosts with controllers on both cgroup versions ("cgroups in hybrid mode not supported"). */
function hybridCgroups(): boolean {
  try {
    return readFileSync('/sys/fs/cgroup/unified/cgroup.controllers', 'utf8').trim() !== '';
  } catch {
    return false;
  }
}

const inPath = (name: string): boolean =>
  (process.env.PATH ?? '').split(delimiter).some((dir) => dir !== '' && existsSync(join(dir, name)));

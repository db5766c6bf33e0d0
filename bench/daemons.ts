import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { commandOf, processesOf } from '../test/kit/daemon.ts';

const top = resolve(import.meta.dirname, '..');
const tools = process.env.BERTH_TOOLS ?? '/var/cache/berth-tools';

/** A daemon under test: where it listens and which processes are its own. */
export interface Subject {
  readonly name: 'berth' | 'containerd';
  readonly address: string;
  readonly dir: string;
  /** PSS in MB of the daemon and all its shims. */
  memoryMb(): number;
  /** Kills the daemon with -9 and starts it again; containers go on. @returns once its socket answers */
  crash(): Promise<void>;
  /** Process ids of the daemon and its shims. */
  pids(): number[];
  /** Largest resident set of the daemon in MB while `work` runs. */
  peakMb(work: () => Promise<unknown>): Promise<number>;
  stop(): Promise<void>;
}

/** The published form of berthd: emitted JavaScript. */
export async function startBerth(
  dir: string,
  dist: string,
  more: readonly string[] = [],
  log?: number,
): Promise<Subject> {
  const address = join(dir, 'state/berth.sock');
  const args = [
    '--root',
    join(dir, 'root'),
    '--state',
    join(dir, 'state'),
    '--address',
    address,
    '--config',
    join(dir, 'config.toml'),
    ...more,
  ];
  makeDirs(dir);
  writeFileSync(join(dir, 'config.toml'), `[berth]\noci_runtime = "runc"\n`);
  return launch('berth', join(dist, 'bin/berthd'), args, address, dir, log);
}

/**
 * containerd 2.3.4 with its own defaults, the CRI left out, and the same OCI runtime. From a copy of its programs, so
 * that another containerd on this machine does not share, and hide, a part of its memory.
 */
export async function startContainerd(dir: string, more = ''): Promise<Subject> {
  const address = join(dir, 'state/containerd.sock');
  makeDirs(dir);
  const config = `version = 3\nroot = "${dir}/root"\nstate = "${dir}/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "${address}"\n${more}`;
  writeFileSync(join(dir, 'config.toml'), config);
  cpSync(join(tools, 'containerd'), join(dir, 'bin'), { recursive: true });
  return launch(
    'containerd',
    join(dir, 'bin/containerd'),
    ['--config', join(dir, 'config.toml')],
    address,
    dir,
  );
}

/** State lies in memory, as /run does. */
function makeDirs(dir: string): void {
  mkdirSync(join(dir, 'state'), { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=711', 'berth-bench', join(dir, 'state')]);
}

async function launch(
  name: Subject['name'],
  program: string,
  args: string[],
  address: string,
  dir: string,
  log?: number,
): Promise<Subject> {
  const env = { ...process.env, PATH: `${dir}/bin:${process.env.PATH}` };
  const start = async (): Promise<ChildProcess> => {
    const started = spawn(program, args, { stdio: ['ignore', 'ignore', log ?? 'ignore'], env });
    for (let waitedMs = 0; !(await answers(address)); waitedMs += 5) {
      if (started.exitCode !== null || waitedMs > 60_000)
        throw new Error(`${name} did not start: ${program} ${args.join(' ')}`);
      await sleep(5);
    }
    return started;
  };
  let child = await start();
  const pids = () => [child.pid ?? 0, ...shimsOf(child, dir)];
  return {
    name,
    address,
    dir,
    memoryMb: () => pids().reduce((sum, pid) => sum + pssMb(pid), 0),
    peakMb: (work) => peakMb(child, work),
    pids,
    async crash() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
      child = await start();
    },
    stop: () => stop(child, dir),
  };
}

/** The kernel's own high-water mark, reset before. */
async function peakMb({ pid }: ChildProcess, work: () => Promise<unknown>): Promise<number> {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  await work();
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

const shimsOf = (child: ChildProcess, dir: string): number[] =>
  processesOf(dir).filter((pid) => pid !== child.pid && isShim(pid));

const isShim = (pid: number): boolean => /shim/.test(commandOf(pid));

/** 0 for one that has ended. */
function pssMb(pid: number): number {
  try {
    const line = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
    return Number(line?.[1]) / 1024;
  } catch {
    return 0;
  }
}

async function stop(child: ChildProcess, dir: string): Promise<void> {
  child.kill('SIGTERM');
  while (child.exitCode === null && child.signalCode === null) await sleep(20);
  for (const pid of processesOf(dir)) process.kill(pid, 'SIGKILL');
  const points = readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .map((l) => l.split(' ')[4] ?? '');
  for (const point of points.filter((p) => p.startsWith(`${dir}/`)).reverse())
    execFileSync('umount', ['-l', point]);
  rmSync(dir, { recursive: true, force: true });
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once('connect', () => done(true)).once('error', () => done(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** The package as users install it: `npm pack`, then `npm install` of the tarball, with this checkout's Node. */
export function installPackage(dir: string): string {
  const tarball =
    execFileSync('npm', ['pack', '--silent', '--pack-destination', dir], { cwd: top, encoding: 'utf8' })
      .trim()
      .split('\n')
      .at(-1) ?? '';
  writeFileSync(join(dir, 'package.json'), '{"private": true}');
  execFileSync(
    'npm',
    [
      'install',
      '--silent',
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
      '--prefer-offline',
      join(dir, tarball),
    ],
    { cwd: dir },
  );
  if (!readdirSync(join(dir, 'node_modules')).includes('berth'))
    throw new Error('npm install of the packed tarball left no berth');
  return join(dir, 'node_modules/berth');
}

export const scratch = (): string => {
  mkdirSync('/var/tmp/berth-bench', { recursive: true });
  return mkdtempSync('/var/tmp/berth-bench/run-');
};

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Context, daemonContext, silentLog } from '../../src/async/context.ts';
import type { Envelope } from '../../src/events/events.ts';
import { EventExchange } from '../../src/events/exchange.ts';
import { connectTtrpc } from '../../src/rpc/ttrpc-client.ts';
import { shimClient } from '../../src/rpc/ttrpc-shim.ts';
import { shimSocketPath } from '../../src/runtime/shim-launch.ts';
import type { NewTask } from '../../src/runtime/task.ts';
import { Tasks, type TasksOptions } from '../../src/runtime/tasks.ts';
import { killCgroup, removeCgroup } from '../../src/sys/cgroup.ts';
import { makeFifo } from '../../src/sys/fifo.ts';
import { unmountTree } from '../../src/sys/mount.ts';
import { processesOf } from '../kit/daemon.ts';
import { slowness, until } from '../kit/until.ts';

/** Everything a test of the runtime needs: a state directory, a root file system, tasks, and their events. */
export class Harness implements AsyncDisposable {
  readonly dir = mkdtempSync('/var/tmp/berth-runtime-');
  readonly state = join(this.dir, 'state');
  readonly rootfs = join(this.dir, 'rootfs');
  /** Parent of the containers' cgroups. */
  readonly cgroup = `/${basename(this.dir)}`;
  readonly exchange = new EventExchange();
  readonly received: Envelope[] = [];
  #made = 0;
  readonly #stop = new AbortController();
  tasks: Tasks;

  readonly #more: Partial<TasksOptions>;

  /** `more`: other options of the tasks. */
  constructor(more: Partial<TasksOptions> = {}) {
    this.#more = more;
    mkdirSync(this.state);
    makeRootfs(this.rootfs);
    void this.#receive();
    this.tasks = this.open();
  }

  /** A daemon's side; there may be several after one another. */
  open(): Tasks {
    return new Tasks({
      stateDir: this.state,
      events: this.exchange,
      log: silentLog,
      shimStartMs: 15_000 * slowness,
      ...this.#more,
    });
  }

  /** As if the daemon had been killed and started again. */
  async restart(): Promise<void> {
    await this.tasks.close();
    this.tasks = this.open();
  }

  ctx(namespace = 'test', signal?: AbortSignal): Context {
    return daemonContext(silentLog, namespace, signal);
  }

  fifo(name: string): string {
    const path = join(this.dir, name);
    makeFifo(path);
    return path;
  }

  task(
    containerId: string,
    args: readonly string[],
    more: Partial<NewTask> & { user?: number } = {},
  ): NewTask {
    const { user = 0, ...rest } = more;
    const terminal = more.terminal ?? false;
    return {
      containerId,
      spec: Buffer.from(
        JSON.stringify(spec(args, terminal, user, `${this.cgroup}/${containerId}-${this.#made++}`)),
      ),
      rootfs: [{ type: 'bind', source: this.rootfs, options: ['rbind', 'rw'] }],
      runtimeName: 'io.containerd.runc.v2',
      stdin: '',
      stdout: '',
      stderr: '',
      terminal,
      ...rest,
    };
  }

  async shimPid(): Promise<number> {
    using client = await connectTtrpc(shimSocketPath(this.state));
    return (await shimClient(client, 5_000).info({}, this.ctx())).pid;
  }

  /** Topics of a container's events so far. */
  topics(containerId: string): string[] {
    return this.received
      .filter(({ event }) => Buffer.from(event.value).includes(containerId))
      .map(({ topic }) => topic);
  }

  /** Waits until a container has so many events. */
  async topicsWhen(containerId: string, count: number): Promise<string[]> {
    await until(
      () => this.topics(containerId).length >= count,
      () => `${count} events of ${containerId}: there are ${this.topics(containerId).join(' ')}`,
    );
    return this.topics(containerId);
  }

  async #receive(): Promise<void> {
    for await (const envelope of this.exchange.subscribe([], this.#stop.signal)) this.received.push(envelope);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pid = await this.shimPid().catch(() => 0);
    await this.tasks.close();
    this.#stop.abort();
    if (pid > 0) process.kill(pid, 'SIGKILL');
    for (const left of processesOf(this.state)) process.kill(left, 'SIGKILL');
    await killCgroup(this.cgroup);
    await removeCgroup(this.cgroup);
    await unmountTree(this.dir, { detach: true });
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export const mountsIn = (dir: string): string[] =>
  readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .filter((line) => line.includes(` ${dir}/`));

/** A root file system of busybox. */
export function makeRootfs(rootfs: string): void {
  for (const dir of ['bin', 'proc', 'dev', 'sys', 'tmp', 'etc'])
    mkdirSync(join(rootfs, dir), { recursive: true });
  cpSync('/bin/busybox', join(rootfs, 'bin/busybox'));
  const applets = execFileSync('/bin/busybox', ['--list'], { encoding: 'utf8' }).trim().split('\n');
  for (const applet of applets) if (applet !== 'busybox') symlinkSync('busybox', join(rootfs, 'bin', applet));
}

function spec(args: readonly string[], terminal: boolean, user: number, cgroupsPath: string) {
  const caps = ['CAP_KILL', 'CAP_CHOWN', 'CAP_SETUID', 'CAP_SETGID'];
  return {
    ociVersion: '1.2.0',
    process: {
      terminal,
      user: { uid: user, gid: user },
      args,
      env: ['PATH=/bin', 'TERM=xterm'],
      cwd: '/',
      capabilities: { bounding: caps, effective: caps, permitted: caps },
      noNewPrivileges: true,
    },
    root: { path: 'rootfs' },
    hostname: 'test',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755'] },
      {
        destination: '/dev/pts',
        type: 'devpts',
        source: 'devpts',
        options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'],
      },
    ],
    linux: {
      cgroupsPath,
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type })),
      resources: { devices: [{ allow: false, access: 'rwm' }] },
    },
  };
}

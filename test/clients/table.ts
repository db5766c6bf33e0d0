import assert from 'node:assert/strict';
import { readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { violationsAtRest } from '../kit/checker.ts';
import { TestContainerd } from '../kit/containerd.ts';
import { startDaemon, TestDaemon } from '../kit/daemon.ts';
import { ctr1, ctr2 } from '../kit/paths.ts';
import { TestRegistry, type TestRegistryOptions } from '../kit/registry.ts';
import { run } from '../kit/run.ts';

/** Debian's ctr of 2023, which pulls and unpacks by itself, and today's, which asks the Transfer service. */
export const generations = { v1: ctr1, v2: ctr2 } as const;
export type Generation = keyof typeof generations;

type Daemon = TestDaemon | TestContainerd;

/** `BERTH_REFEREE_PEER=containerd` runs the tables on containerd 2.3.4. */
const onContainerd = process.env.BERTH_REFEREE_PEER === 'containerd';

/** A daemon and a registry with busybox for one test file. Disposal leaves nothing. */
export class ClientStage<D extends Daemon = TestDaemon> implements AsyncDisposable {
  readonly daemon: D;
  readonly registry: TestRegistry;
  /** Reference of busybox in the registry. */
  readonly image: string;

  private constructor(daemon: D, registry: TestRegistry, image: string) {
    this.daemon = daemon;
    this.registry = registry;
    this.image = image;
  }

  static open(registryOptions: TestRegistryOptions = {}): Promise<ClientStage> {
    return ClientStage.#on(startDaemon, registryOptions);
  }

  /** On containerd instead where the tests are told so. `config`: more of the configuration, in words that both know. */
  static openPeer(registryOptions: TestRegistryOptions = {}, config = ''): Promise<ClientStage<Daemon>> {
    const start = () => (onContainerd ? new TestContainerd('2.3', config).start() : startDaemon({ config }));
    return ClientStage.#on<Daemon>(start, registryOptions);
  }

  static async #on<D extends Daemon>(start: () => Promise<D>, registryOptions: TestRegistryOptions) {
    await using stack = new AsyncDisposableStack();
    const registry = stack.use(await TestRegistry.start(registryOptions));
    const image = await registry.pushBusybox();
    const daemon = stack.use(await start());
    stack.move();
    return new ClientStage(daemon, registry, image);
  }

  /** {@link runLine} with `$IMG` busybox, `$HOST` the registry and `$DIR` its directory. */
  line(generation: Generation, line: string): Promise<Shown> {
    const { image, registry } = this;
    return runLine(this.daemon, generation, line, { IMG: image, HOST: registry.host, DIR: registry.dir });
  }

  /** What is half-made or left behind; not told of containerd. */
  async violations(): Promise<string[]> {
    const { daemon } = this;
    return daemon instanceof TestDaemon ? [...(await violationsAtRest(daemon.root, daemon.state))] : [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon[Symbol.asyncDispose]();
    await this.registry[Symbol.asyncDispose]();
    removeCgroups();
  }
}

/** OCI runtimes leave the empty parents of their containers' cgroups, one a namespace, in every hierarchy. */
function removeCgroups(): void {
  const hierarchies = ['', ...readdirSync('/sys/fs/cgroup')];
  for (const hierarchy of hierarchies)
    for (const namespace of Object.keys(generations).flatMap((name) => [name, `${name}-other`])) {
      try {
        rmdirSync(join('/sys/fs/cgroup', hierarchy, namespace));
      } catch {
        // None was made there, or it is in use.
      }
    }
}

export interface Shown {
  readonly status: number | null;
  /** stdout and stderr as one, runs of blanks as one. */
  readonly shown: string;
}

/** containerd warns of this machine's cgroups at every call. */
const quiet = { CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS: '1' };

/** Runs a line of bash in the daemon's directory: `$C` is ctr of the generation in its namespace `$NS`, `$D` in `$NS-other`. */
export async function runLine(
  { address, dir }: Daemon,
  generation: Generation,
  line: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Shown> {
  const ctr = `${generations[generation]} -a ${address}`;
  const { status, stdout } = await run('bash', ['-c', `exec 2>&1; ${line}`], {
    env: {
      ...env,
      C: `${ctr} -n ${generation}`,
      D: `${ctr} -n ${generation}-other`,
      NS: generation,
      ...quiet,
    },
    cwd: dir,
    timeoutMs: 30_000,
  });
  const shown = stdout
    .replaceAll(/[ \t]+/g, ' ')
    .replaceAll(/ ?\r?\n/g, '\n')
    .trim();
  return { status, shown };
}

/** What one line must show, word for word or by pattern, and its exit status (default 0). */
export interface Check {
  readonly line: string;
  readonly shows: string | RegExp;
  readonly status?: number;
  /** Where one generation has no such command or flag. */
  readonly only?: Generation;
}

/** Runs a table with ctr of both generations against one daemon; at the end nothing may be half-made. */
export function checkWithBoth(
  checks: Readonly<Record<string, Check>>,
  { pull = true, config = '' }: { readonly pull?: boolean; readonly config?: string } = {},
): void {
  let stage: ClientStage<Daemon>;
  before(async () => {
    stage = await ClientStage.openPeer({}, config);
  });
  after(() => stage[Symbol.asyncDispose]());
  for (const generation of ['v1', 'v2'] as const) {
    describe(`ctr ${generation === 'v1' ? '1.6.20' : '2.3.4'}`, () => {
      if (pull) before(async () => assert.equal((await stage.line(generation, pullLine)).status, 0));
      for (const [name, { line, shows, status = 0, only }] of Object.entries(checks)) {
        if (only !== undefined && only !== generation) continue;
        test(name, async () => {
          const result = await stage.line(generation, line);
          if (typeof shows === 'string') assert.equal(result.shown, shows.replaceAll('$IMG', stage.image));
          else assert.match(result.shown, shows);
          assert.equal(result.status, status, result.shown);
        });
      }
    });
  }
  test('nothing is half-made or left behind', async () => {
    assert.deepEqual(await stage.violations(), []);
  });
}

const pullLine = '$C images pull --plain-http $IMG';

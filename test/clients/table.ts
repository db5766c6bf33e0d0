import assert from 'node:assert/strict';
import { readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { violationsAtRest } from '../kit/checker.ts';
import { TestContainerd } from '../kit/containerd.ts';
import { startDaemon, TestDaemon } from '../kit/daemon.ts';
import { ctr1, ctr2, ctr21 } from '../kit/paths.ts';
import { onContainerd } from '../kit/peer.ts';
import { TestRegistry, type TestRegistryOptions } from '../kit/registry.ts';
import { run } from '../kit/run.ts';

/** Debian's ctr of 2023, which pulls and unpacks by itself, and today's, which asks the Transfer service. */
export const generations = { v1: ctr1, v2: ctr2 } as const;
export type Generation = keyof typeof generations;

/** Who the tables are run with, by namespace: one more of the second generation. */
export const clients = { ...generations, v21: ctr21 } as const;
export type Client = keyof typeof clients;
const versions: Readonly<Record<Client, string>> = { v1: '1.6.20', v2: '2.3.4', v21: '2.1.9' };
export const generationOf = (client: Client): Generation => (client === 'v1' ? 'v1' : 'v2');

type Daemon = TestDaemon | TestContainerd;

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
  line(client: Client, line: string): Promise<Shown> {
    const { image, registry } = this;
    return runLine(this.daemon, client, line, { IMG: image, HOST: registry.host, DIR: registry.dir });
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
    for (const namespace of Object.keys(clients).flatMap((name) => [name, `${name}-other`])) {
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

/** Runs a line of bash in the daemon's directory: `$C` is that ctr in its namespace `$NS`, `$D` in `$NS-other`. */
export async function runLine(
  { address, dir }: Daemon,
  client: Client,
  line: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Shown> {
  const ctr = `${clients[client]} -a ${address}`;
  const { status, stdout } = await run('bash', ['-c', `exec 2>&1; ${line}`], {
    env: {
      ...env,
      C: `${ctr} -n ${client}`,
      D: `${ctr} -n ${client}-other`,
      NS: client,
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
  /** Where ctr 2.1.9 puts it into other words. */
  readonly shows21?: RegExp;
}

/** Runs a table with every ctr against one daemon; at the end nothing may be half-made. */
export function checkWithEach(
  checks: Readonly<Record<string, Check>>,
  { pull = true, config = '' }: { readonly pull?: boolean; readonly config?: string } = {},
): void {
  let stage: ClientStage<Daemon>;
  before(async () => {
    stage = await ClientStage.openPeer({}, config);
  });
  after(() => stage[Symbol.asyncDispose]());
  for (const client of Object.keys(clients) as Client[]) {
    describe(`ctr ${versions[client]}`, () => {
      if (pull) before(async () => assert.equal((await stage.line(client, pullLine)).status, 0));
      for (const [name, { line, shows: usual, shows21 = usual, status = 0, only }] of Object.entries(
        checks,
      )) {
        if (only !== undefined && only !== generationOf(client)) continue;
        const shows = client === 'v21' ? shows21 : usual;
        test(name, async () => {
          const result = await stage.line(client, line);
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

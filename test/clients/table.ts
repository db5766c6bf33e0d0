import assert from 'node:assert/strict';
import { readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { violationsAtRest } from '../kit/checker.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { ctr1, ctr2 } from '../kit/paths.ts';
import { TestRegistry, type TestRegistryOptions } from '../kit/registry.ts';
import { run } from '../kit/run.ts';

/** Debian's ctr of 2023, which pulls and unpacks by itself, and today's, which asks the Transfer service. */
export const generations = { v1: ctr1, v2: ctr2 } as const;
export type Generation = keyof typeof generations;

/** A daemon and a registry with busybox for one test file. Disposal leaves nothing. */
export class ClientStage implements AsyncDisposable {
  readonly daemon: TestDaemon;
  readonly registry: TestRegistry;
  /** Reference of busybox in the registry. */
  readonly image: string;

  private constructor(daemon: TestDaemon, registry: TestRegistry, image: string) {
    this.daemon = daemon;
    this.registry = registry;
    this.image = image;
  }

  static async open(registryOptions: TestRegistryOptions = {}): Promise<ClientStage> {
    await using stack = new AsyncDisposableStack();
    const registry = stack.use(await TestRegistry.start(registryOptions));
    const image = await registry.pushBusybox();
    const daemon = stack.use(await startDaemon());
    stack.move();
    return new ClientStage(daemon, registry, image);
  }

  /** {@link runLine} with `$IMG` busybox, `$HOST` the registry and `$DIR` its directory. */
  line(generation: Generation, line: string): Promise<Shown> {
    const { image, registry } = this;
    return runLine(this.daemon, generation, line, { IMG: image, HOST: registry.host, DIR: registry.dir });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon[Symbol.asyncDispose]();
    await this.registry[Symbol.asyncDispose]();
    removeCgroups();
  }
}

/** OCI runtimes leave the empty parents of their containers' cgroups, `/v1` and `/v2`, in every hierarchy. */
function removeCgroups(): void {
  const hierarchies = ['', ...readdirSync('/sys/fs/cgroup')];
  for (const hierarchy of hierarchies)
    for (const generation of Object.keys(generations)) {
      try {
        rmdirSync(join('/sys/fs/cgroup', hierarchy, generation));
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

/** Runs a line of bash in the daemon's directory: `$C` is ctr of the generation in its namespace `$NS`. */
export async function runLine(
  { address, dir }: TestDaemon,
  generation: Generation,
  line: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Shown> {
  const { status, stdout } = await run('bash', ['-c', `exec 2>&1; ${line}`], {
    env: { ...env, C: `${generations[generation]} -a ${address} -n ${generation}`, NS: generation },
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
export function checkWithBoth(checks: Readonly<Record<string, Check>>, pull = true): void {
  let stage: ClientStage;
  before(async () => {
    stage = await ClientStage.open();
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
    assert.deepEqual(await violationsAtRest(stage.daemon.root, stage.daemon.state), []);
  });
}

const pullLine = '$C images pull --plain-http $IMG';

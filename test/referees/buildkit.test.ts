// BuildKit 0.32.0 with the containerd worker alone. BERTH_TEST_PEER=containerd runs the same against containerd 2.3.4.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Buildkit, buildkitd } from '../kit/buildkit.ts';
import { violationsAtRest } from '../kit/checker.ts';
import { TestContainerd } from '../kit/containerd.ts';
import { commandOf, processesOf, startDaemon, TestDaemon } from '../kit/daemon.ts';
import { removeCgroups } from '../kit/leftovers.ts';
import { ctr2 } from '../kit/paths.ts';
import { onContainerd } from '../kit/peer.ts';
import { TestRegistry } from '../kit/registry.ts';
import { output, run } from '../kit/run.ts';
import { until } from '../kit/until.ts';
import { type Bench, checks } from './buildkit-checks.ts';

/** One BuildKit each: all of them use the same daemon at the same time. */
const snapshotters = ['overlayfs', 'overlayfs', 'native'];
const namespaces = snapshotters.map((_, i) => `bk${process.pid}${'abc'[i]}`);

describe('BuildKit', {
  skip: buildkitd === undefined ? 'BuildKit could not be built here' : false,
}, () => {
  let registry: TestRegistry;
  let daemon: TestDaemon | TestContainerd;
  let benches: Bench[];

  before(async () => {
    registry = await TestRegistry.start();
    const base = await registry.pushBusybox();
    daemon = onContainerd ? await new TestContainerd('2.3').start() : await startDaemon();
    const { address } = daemon;
    benches = await Promise.all(
      namespaces.map(async (namespace, i) => ({
        buildkit: await new Buildkit({
          address,
          namespace,
          registry: registry.host,
          snapshotter: snapshotters[i],
        }).start(),
        base,
        registry: registry.host,
        own: namespace,
        ctr: (...words: string[]) => output(ctr2, ['-a', address, '-n', namespace, ...words]),
      })),
    );
  });
  after(async () => {
    for (const { buildkit } of benches ?? []) await buildkit[Symbol.asyncDispose]();
    await daemon?.[Symbol.asyncDispose]();
    await registry?.[Symbol.asyncDispose]();
    removeCgroups(namespaces);
  });

  const restart = async (): Promise<void> => {
    await daemon.stop('SIGKILL');
    await daemon.start();
    for (const { buildkit } of benches) await buildkit.reconnected();
  };
  const dockerfile = (bench: Bench, ...lines: string[]) => ({
    Dockerfile: [`FROM ${bench.base}`, ...lines].join('\n'),
  });

  describe('three at once', { concurrency: true }, () => {
    for (const [i, snapshotter] of snapshotters.entries())
      describe(`${i + 1} of 3, on ${snapshotter}`, { concurrency: false }, () => {
        for (const [name, check] of Object.entries(checks))
          test(name, () => check(benches[i] ?? assert.fail('no bench')));
      });
  });

  test('the daemon killed with -9 between builds: what was built stays cached, the rest is built', async () => {
    for (const bench of benches) {
      const step = `RUN echo before the kill of ${bench.own}`;
      await bench.buildkit.build(dockerfile(bench, step));
      await restart();
      const log = await bench.buildkit.build(dockerfile(bench, step, `RUN echo after it ${bench.own}`));
      assert.match(log, /CACHED/);
      assert.match(log, new RegExp(`after it ${bench.own}`));
    }
  });

  test('the daemon killed with -9 under a RUN: it goes on, and so do builds', async () => {
    const [bench = assert.fail('no bench')] = benches;
    const building = bench.buildkit.tryBuild(dockerfile(bench, 'RUN sleep 1000'));
    const tasks = () => bench.ctr('tasks', 'ls');
    await until(async () => /RUNNING/.test(await tasks()), 'the RUN');
    const before = await tasks();
    await restart();
    assert.equal(await tasks(), before);
    const [task = ''] = (await bench.ctr('tasks', 'ls', '-q')).split('\n');
    await bench.ctr('tasks', 'kill', '-s', 'KILL', task);
    await building;
    // BuildKit may have given up on it: then it removes nothing, with any containerd.
    for (const words of [
      ['tasks', 'rm', '-f'],
      ['containers', 'rm'],
    ])
      await run(ctr2, ['-a', daemon.address, '-n', bench.own, ...words, task]);
    assert.match(await bench.buildkit.build(dockerfile(bench, `RUN echo on with ${bench.own}`)), /on with/);
  });

  test('after a prune nothing is left: no content, snapshots, leases, containers, images', async () => {
    for (const { buildkit, ctr } of benches) {
      const done = await buildkit.buildctl('prune-histories');
      assert.equal(done.status, 0, done.stderr);
      // What a build has just let go of is in use for a moment more, and a prune passes it over.
      await until(async () => {
        await buildkit.prune();
        return (await buildkit.usage()).length === 0;
      }, 'a prune that leaves nothing');
      assert.deepEqual(
        await Promise.all(
          [
            ['content', 'ls', '-q'],
            ['leases', 'ls', '-q'],
            ['containers', 'ls', '-q'],
            ['images', 'ls', '-q'],
          ].map((words) => ctr(...words)),
        ),
        ['', '', '', ''],
      );
      for (const snapshotter of new Set(snapshotters))
        assert.equal((await ctr('snapshots', '--snapshotter', snapshotter, 'ls')).split('\n').length, 1);
    }
    if (daemon instanceof TestDaemon) assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
  });

  // Last, because BuildKit counts what a cancelled build has used as in use until it is restarted, with containerd too.
  test('a build that is cancelled ends its container and leaves none', async () => {
    const [bench = assert.fail('no bench')] = benches;
    const building = bench.buildkit.tryBuild(dockerfile(bench, 'RUN sleep 1000'));
    await until(async () => /RUNNING/.test(await bench.ctr('tasks', 'ls')), 'the RUN');
    const client = processesOf(bench.buildkit.dir).find((pid) => /buildctl .* build /.test(commandOf(pid)));
    process.kill(client ?? assert.fail('no buildctl'), 'SIGINT');
    assert.notEqual((await building).status, 0);
    await until(async () => (await bench.ctr('containers', 'ls', '-q')) === '', 'the end of the container');
  });
});

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { violationsAtRest } from '../../kit/checker.ts';
import { TestDaemon } from '../../kit/daemon.ts';
import { leftovers } from '../../kit/leftovers.ts';
import { ctr2 } from '../../kit/paths.ts';
import { onContainerd } from '../../kit/peer.ts';
import { output } from '../../kit/run.ts';
import { shown } from '../lines.ts';
import { testChecks } from './checks.ts';
import { testCrash } from './crash.ts';
import { images } from './images.ts';
import { compose, swarm, whole } from './orchestration.ts';
import { processes } from './processes.ts';
import { resources } from './resources.ts';
import { writeResults } from './results.ts';
import { type DockerOptions, DockerStage } from './stage.ts';

/** Everything that Docker Engine is asked on Berth. */
export function testDocker(client: string, options: DockerOptions): void {
  let opened: DockerStage | undefined;
  const stage = (): DockerStage => {
    if (opened === undefined) throw new Error('dockerd did not start');
    return opened;
  };
  before(async () => {
    opened = await DockerStage.open(options);
    shown(await opened.line('pull', 'docker pull -q busybox'), { shows: /busybox/ });
  });
  after(async () => {
    writeResults(client, onContainerd ? 'containerd 2.3.4' : 'Berth');
    await opened?.[Symbol.asyncDispose]();
  });
  testChecks('processes', stage, processes);
  testCrash(stage);
  testChecks('resources', stage, resources);
  testChecks('images', stage, images);
  testChecks('whole', stage, whole, 1);
  testChecks('compose', stage, compose, 1);
  testChecks('swarm', stage, swarm, 1);
  test('what is removed leaves nothing behind', { skip: onContainerd && 'of Berth only' }, () =>
    leavesNothing(stage()),
  );
}

async function leavesNothing(stage: DockerStage): Promise<void> {
  const { daemon } = stage;
  assert.ok(daemon instanceof TestDaemon);
  shown(
    await stage.line(
      'clean',
      'docker ps -aq | xargs -r -n 8 -P 4 docker rm -fv >/dev/null; docker system prune -af --volumes >/dev/null; docker builder prune -af >/dev/null; docker images -aq',
    ),
    { shows: '' },
  );
  const list = (...args: string[]) => output(ctr2, ['-a', daemon.address, '-n', 'moby', ...args]);
  for (const lease of ['one', 'two']) {
    // Garbage is gone after two collections.
    await list('leases', 'create', '--id', lease);
    await list('leases', 'rm', '--sync', lease);
  }
  for (const what of ['containers', 'tasks', 'images', 'leases', 'snapshots', 'content'])
    assert.equal((await list(what, 'ls')).split('\n').length, 1, what);
  await stage.dockerd.stop();
  assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
  assert.deepEqual(leftovers(daemon.root, daemon.state, ['moby']), []);
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shown } from '../lines.ts';
import { recorded } from './results.ts';
import type { DockerStage } from './stage.ts';

/** The daemon is killed by -9 under containers of every kind and comes back. */
export function testCrash(stage: () => DockerStage): void {
  const goesOn = 'the daemon is killed and started again: containers, execs and streams go on';
  test(goesOn, () => recorded(goesOn, () => crash(stage())));
  const told = 'what ended while the daemon was away is told, and restarted where it should be';
  test(told, () => recorded(told, () => learnsOfEnds(stage())));
}

const before = `exec >/dev/null
docker run -d --name k-loop busybox sh -c 'until [ -e /after ]; do echo before; sleep 0.1; done; echo after; sleep 1000'
docker run -d --name k-ends busybox sh -c 'until [ -e /go ]; do sleep 0.1; done; exit 6'
docker run -d --name k-policy --restart always busybox sleep 1000
docker run -di --name k-input busybox head -n 1`;

/** One writes on, one ends by itself, one is killed: nobody is there to see it. */
const meanwhile = `pid() { docker inspect -f '{{.State.Pid}}' $1; }
touch /proc/$(pid k-loop)/root/after /proc/$(pid k-ends)/root/go
kill -9 $(pid k-policy)
! docker exec k-loop true`;

const after = `wait_for docker exec k-loop true && echo again
docker exec k-loop touch /end
wait_for 'docker logs k-loop | grep -x after' && echo written by
(echo typed; wait_for 'docker logs k-input | grep typed') | docker attach k-input
docker run --rm busybox echo new`;

async function crash(stage: DockerStage): Promise<void> {
  await must(stage, before, '');
  const attached = stage.line('attached', 'docker attach --no-stdin k-loop');
  const exec = stage.line('exec', "docker exec k-loop sh -c 'until [ -e /end ]; do sleep 0.1; done; exit 8'");
  await must(stage, "wait_for 'docker top k-loop | grep /end'", '');
  await stage.daemon.stop('SIGKILL');
  await must(stage, meanwhile, /unavailable/i).finally(() =>
    stage.daemon.start({ wrapper: stage.network.wrapper }),
  );
  await must(stage, after, 'again\nwritten by\ntyped\nnew');
  shown(await exec, { shows: '', status: 8 });
  await must(stage, 'docker kill k-loop >/dev/null; docker wait k-loop k-input', '137\n0');
  const { shown: seen, status } = await attached;
  assert.match(seen, /^(before\n)+after$/);
  assert.equal(status, 137);
}

const ends = `wait_for '[ "$(docker inspect -f "{{.State.Status}}" k-ends)" = exited ]'
docker wait k-ends
wait_for '[ "$(docker inspect -f "{{.RestartCount}} {{.State.Status}}" k-policy)" = "1 running" ]'
docker inspect -f '{{.RestartCount}}' k-policy`;

const learnsOfEnds = (stage: DockerStage): Promise<void> => must(stage, ends, '6\n1');

async function must(stage: DockerStage, line: string, shows: string | RegExp): Promise<void> {
  shown(await stage.line('crash', line), { shows });
}

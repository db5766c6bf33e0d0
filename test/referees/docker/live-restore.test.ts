import { after, before, test } from 'node:test';
import { shown } from '../lines.ts';
import { DockerStage } from './stage.ts';

/** Docker Engine itself is killed, and finds its containers again in Berth. */
let stage: DockerStage;
before(async () => {
  stage = await DockerStage.open({ generation: 28, containerdStore: true, liveRestore: true });
  await must('docker pull -q busybox', /busybox/);
});
after(() => stage?.[Symbol.asyncDispose]());

async function must(line: string, shows: string | RegExp): Promise<void> {
  shown(await stage.line('live', line), { shows });
}

const containers = `exec >/dev/null
docker run -d --name loop busybox sh -c 'i=0; until [ -e /end ]; do echo $((i=i+1)); sleep 0.1; done; exit 5'
docker run -d --name ends busybox sh -c 'until [ -e /go ]; do sleep 0.1; done; exit 6'
docker run -dit --name terminal busybox sh`;

test('containers go on when dockerd is killed, and are its own again when it is back', async () => {
  await must(containers, '');
  const { shown: pids } = await stage.line('live', `docker inspect -f '{{.State.Pid}}' loop ends`);
  const [loop, ends] = pids.split('\n');
  await stage.dockerd.stop('SIGKILL');
  await must(`touch /proc/${ends}/root/go; wait_for '! kill -0 ${ends}'; kill -0 ${loop}`, '');
  await stage.dockerd.start();
  await must(`docker ps --format '{{.Names}} {{.State}}' | sort`, 'loop running\nterminal running');
  await must(`docker inspect -f '{{.State.Pid}}' loop`, `${loop}`);
  await must(`docker inspect -f '{{.State.ExitCode}}' ends`, '6');
});

test('its logs have no gap, and its processes can be reached', async () => {
  await must('docker exec loop echo in', 'in');
  await must('docker exec loop touch /end; docker wait loop', '5');
  await must(
    `docker logs loop >l; diff l <(seq $(wc -l <l)) && [ $(wc -l <l) -gt 5 ] && echo whole`,
    'whole',
  );
});

test('its terminals go on', async () => {
  await must(
    `(echo 'echo $((6 * 7))'; wait_for 'docker logs terminal | grep 42'; echo exit) | script -qec 'docker attach terminal' /dev/null | grep -o ^42; docker wait terminal`,
    '42\n0',
  );
});

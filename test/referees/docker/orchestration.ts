import type { Checks } from './checks.ts';
import { noIpvs } from './machine.ts';

const composeFile = `services:
  web: {image: busybox, command: httpd -f -h /etc, stop_grace_period: 0s}
  client:
    image: busybox
    stop_grace_period: 0s
    depends_on: [web]
    command: sh -c "until wget -qO- http://web/group; do sleep 0.1; done; sleep 1000"
`;

/** Of two services that talk; one check after the other. */
export const compose: Checks = {
  'compose up': {
    line: `printf '%s' '${composeFile}' >../compose.yml; docker compose -f ../compose.yml up -d --quiet-pull >/dev/null 2>&1; docker compose -f ../compose.yml ps --format '{{.Service}} {{.State}}' | sort`,
    shows: 'client running\nweb running',
  },
  'compose logs': {
    line: "wait_for 'docker compose -f ../compose.yml logs client | grep root'; docker compose -f ../compose.yml logs --no-log-prefix client | tail -1",
    shows: 'root:x:0:',
  },
  'compose exec': {
    line: "docker compose -f ../compose.yml exec -T client sh -c 'wget -qO- http://web/group; exit 5'",
    shows: 'root:x:0:',
    status: 5,
  },
  'compose down': {
    line: 'docker compose -f ../compose.yml down -t 0 >/dev/null 2>&1; docker compose -f ../compose.yml ps -aq; docker network ls -qf name=lines',
    shows: '',
  },
};

const service = 'docker service create -d --no-resolve-image --stop-signal KILL';

/** A swarm of one; one check after the other. */
export const swarm: Checks = {
  'swarm init': { line: 'docker swarm init --advertise-addr $IP', shows: /^Swarm initialized/ },
  'service create of two replicas': {
    line: `${service} --name s --replicas 2 busybox sh -c 'echo up; sleep 1000' >/dev/null; wait_for 'docker service ls | grep 2/2'; docker service ls --format '{{.Name}} {{.Replicas}}'`,
    shows: 's 2/2',
  },
  'service scale': {
    line: "docker service scale -d s=3; wait_for 'docker service ls | grep 3/3'; docker ps -qf name=s. | wc -l",
    shows: 's scaled to 3\n3',
  },
  'service logs': {
    line: `wait_for '[ $(docker service logs s 2>/dev/null | wc -l) = 3 ]'; docker service logs --raw s`,
    shows: 'up\nup\nup',
  },
  'service rm': {
    line: `docker service rm s; wait_for '[ -z "$(docker ps -aqf name=s.)" ]'`,
    shows: 's',
  },
  'a port of the host': {
    line: `${service} --name h -p mode=host,target=80,published=8081 busybox httpd -f -h /etc >/dev/null; wait_for curl -sS http://127.0.0.1:8081/group; curl -sS http://127.0.0.1:8081/group; docker service rm h >/dev/null`,
    shows: 'root:x:0:',
  },
  'a port of the ingress network': {
    line: `${service} --name p -p 8080:80 busybox httpd -f -h /etc >/dev/null; wait_for 'docker service ls | grep 1/1'; curl -sS --max-time 3 http://127.0.0.1:8080/group; s=$?; docker service rm p >/dev/null; [ $s = 0 ]`,
    shows: 'root:x:0:',
    without: { lack: noIpvs, shows: /timed out|reset|refused|Couldn't connect/, status: 1 },
  },
  'swarm leave': {
    line: `wait_for '[ -z "$(docker ps -aqf label=com.docker.swarm.service.name)" ]'; docker swarm leave --force; docker info -f '{{.Swarm.LocalNodeState}}'`,
    shows: 'Node left the swarm.\ninactive',
  },
};

/** What looks at everything: containers that go meanwhile disturb it. */
export const whole: Checks = {
  'system df counts': {
    line: 'docker system df',
    shows: /^TYPE .*\nImages \d.*\nContainers \d.*\nLocal Volumes \d.*\nBuild Cache \d/,
  },
};

import type { Checks } from './checks.ts';

/** Containers, their processes and streams, from start to removal. */
export const processes: Checks = {
  'run shows the output': { line: 'docker run --rm busybox echo hello', shows: 'hello' },
  'run keeps stdout and stderr apart': {
    line: "docker run --rm busybox sh -c 'echo out; echo err >&2' 2>/dev/null",
    shows: 'out',
  },
  'run passes the exit status': { line: "docker run --rm busybox sh -c 'exit 7'", shows: '', status: 7 },
  'run of a program that is not there ends with 127': {
    line: 'docker run --rm --name $N busybox nope; s=$?; docker ps -aqf name=$N; exit $s',
    shows: /OCI runtime create failed: .*exec: "nope": executable file not found in \$PATH/,
    status: 127,
  },
  'run of a directory ends with 126': {
    line: 'docker run --rm busybox /etc',
    shows: /OCI runtime create failed: .*exec: "\/etc": (permission denied|is a directory)/,
    status: 126,
  },
  'run -i passes stdin on to its end': {
    line: 'seq 30000 | docker run --rm -i busybox sh -c "wc -l; echo end"',
    shows: '30000\nend',
  },
  'run passes much output on': {
    line: 'docker run --rm busybox seq 300000 | md5sum; seq 300000 | md5sum',
    shows: /^(\S+) -\n\1 -$/,
  },
  'run -t has a terminal': { line: 'docker run --rm -t busybox tty', shows: '/dev/pts/0' },
  'run -it has a terminal of the size of the own': {
    line: `script -qec 'stty cols 123 rows 45; docker run --rm -it busybox sh -c "until [ \\"\\$(stty size)\\" = \\"45 123\\" ]; do sleep 0.1; done; echo sized"' /dev/null`,
    shows: /sized$/,
  },
  'run takes environment, directory, user and host name': {
    line: `docker run --rm -e A=b -w /tmp -u 1:2 -h hh busybox sh -c 'echo $A; pwd; id -u; id -g; hostname'`,
    shows: 'b\n/tmp\n1\n2\nhh',
  },
  'run takes another entry point': { line: 'docker run --rm --entrypoint echo busybox e', shows: 'e' },
  'run --init': { line: 'docker run --rm --init busybox ps -o pid,args', shows: /\n1 \S*docker-init -- ps/ },
  'exec runs in the container': {
    line: `docker run -d --name $N busybox sleep 1000 >/dev/null; docker exec -e A=b -w /tmp -u 1:2 $N sh -c 'echo $A; pwd; id -u; id -g; ps -o args | grep -c "[s]leep"'`,
    shows: 'b\n/tmp\n1\n2\n1',
  },
  'exec passes stdin and the exit status': {
    line: `docker run -d --name $N busybox sleep 1000 >/dev/null; echo typed | docker exec -i $N sh -c 'cat; exit 9'`,
    shows: 'typed',
    status: 9,
  },
  'exec -t has a terminal': {
    line: 'docker run -d --name $N busybox sleep 1000 >/dev/null; docker exec -t $N tty',
    shows: /^\/dev\/pts\/\d$/,
  },
  'exec -d goes on by itself': {
    line: `docker run -d --name $N busybox sleep 1000 >/dev/null; docker exec -d $N sh -c 'sleep 0.2; echo x >/x'; wait_for docker exec $N test -s /x`,
    shows: '',
  },
  'exec of a program that is not there is refused': {
    line: 'docker run -d --name $N busybox sleep 1000 >/dev/null; docker exec $N nope',
    shows: /OCI runtime exec failed: .*exec: "nope": executable file not found in \$PATH/,
    status: 127,
    on20: { status: 126 },
  },
  'exec in a container that has ended is refused': {
    line: 'docker run --name $N busybox true; docker exec $N true',
    shows: /container \S+ is not running/i,
    status: 1,
  },
  'logs has what was written': {
    line: "docker run --name $N busybox sh -c 'echo one; echo two >&2; echo three' >/dev/null 2>&1; docker logs $N 2>/dev/null; docker logs $N 2>&1 >/dev/null; docker logs -n 1 $N 2>&1 | wc -l",
    shows: 'one\nthree\ntwo\n1',
  },
  'logs -f follows to the end': {
    line: "docker run -d --name $N busybox sh -c 'for i in 1 2 3; do echo $i; sleep 0.2; done' >/dev/null; docker logs -f $N",
    shows: '1\n2\n3',
  },
  // dockerd ends `docker run` before it writes down for `docker ps` that the container has ended.
  'ps lists what runs, and with -a what has ended': {
    line: `docker run -d --name $N busybox sleep 1000 >/dev/null; docker run --name $N-2 busybox false; until docker ps -aq -f name=$N-2 -f status=exited | grep -q .; do :; done; docker ps -f name=$N --format '{{.Names}} {{.Image}} {{.Command}}'; docker ps -af name=$N-2 --format '{{.Status}}'`,
    shows: /^\S+ busybox "sleep 1000"\nExited \(1\)/,
  },
  'inspect tells the state': {
    line: `docker run -d --name $N busybox sleep 1000 >/dev/null; docker inspect -f '{{.State.Status}} {{.State.Running}} {{.Path}}' $N; tr '\\0' ' ' </proc/$(docker inspect -f '{{.State.Pid}}' $N)/cmdline`,
    shows: 'running true sleep\nsleep 1000',
  },
  'top lists the processes': {
    line: 'docker run -d --name $N busybox sleep 1000 >/dev/null; docker top $N -o pid,args',
    shows: /^PID COMMAND\n\d+ sleep 1000$/,
  },
  'stats has figures': {
    line: `docker run -d --name $N -m 64m busybox sleep 1000 >/dev/null; docker stats --no-stream --format '{{.Name}} {{.PIDs}} {{.MemUsage}}' $N`,
    shows: /^\S+ 1 [\d.]+KiB \/ 64MiB$/,
  },
  'cp goes in': {
    line: 'docker run -d --name $N busybox sleep 1000 >/dev/null; echo in >f; docker cp -q f $N:/tmp/g 2>/dev/null || docker cp f $N:/tmp/g; docker exec $N cat /tmp/g',
    shows: 'in',
  },
  'cp comes out, of one that has ended, too': {
    line: "docker run --name $N busybox sh -c 'echo out >/tmp/f'; docker cp $N:/tmp/f . >/dev/null 2>&1; cat f",
    shows: 'out',
  },
  'cp takes a tree through a pipe': {
    line: "docker run --name $N busybox sh -c 'mkdir -p /d/e; echo deep >/d/e/f'; docker cp $N:/d - | tar -xO d/e/f",
    shows: 'deep',
  },
  'diff lists what has changed': {
    line: "docker run --name $N busybox sh -c 'echo x >/new; rm /etc/group'; docker diff $N | sort",
    shows: 'A /new\nC /etc\nD /etc/group',
  },
  'pause and unpause': {
    line: `docker run -d --name $N busybox sleep 1000 >/dev/null; docker pause $N; docker inspect -f '{{.State.Status}}' $N; docker exec $N true; docker unpause $N; docker inspect -f '{{.State.Status}}' $N`,
    shows: /^\S+\npaused\n.*is paused.*\n\S+\nrunning$/,
  },
  'stop asks by SIGTERM, waits and tells the status': {
    line: `docker run -d --name $N busybox sh -c 'trap "exit 3" TERM; echo ready; while :; do sleep 0.1; done' >/dev/null; wait_for 'docker logs $N | grep ready'; docker stop $N; docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' $N`,
    shows: /^\S+\nexited 3$/,
  },
  'stop kills what does not listen': {
    line: `docker run -d --name $N busybox sleep 1000 >/dev/null; docker stop -t 0 $N; docker inspect -f '{{.State.ExitCode}} {{.State.OOMKilled}}' $N`,
    shows: /^\S+\n137 false$/,
  },
  'start runs it again with what it had written': {
    line: "docker run --name $N busybox sh -c 'echo x >>/x; cat /x'; docker start -a $N",
    shows: 'x\nx\nx',
  },
  'restart gives it a new process': {
    line: `docker run -d --name $N busybox sleep 1000 >/dev/null; p() { docker inspect -f '{{.State.Pid}}' $N; }; a=$(p); docker restart -t 0 $N >/dev/null; b=$(p); [ $a != $b ] && kill -0 $b && ! kill -0 $a 2>/dev/null && echo new`,
    shows: 'new',
  },
  'kill sends the signal that is named': {
    line: `docker run -d --name $N busybox sh -c 'trap "echo usr1; exit 4" USR1; echo ready; while :; do sleep 0.1; done' >/dev/null; wait_for 'docker logs $N | grep ready'; docker kill -s USR1 $N >/dev/null; docker wait $N; docker logs $N`,
    shows: '4\nready\nusr1',
  },
  'rename, and the new name is found': {
    line: "docker create --name $N busybox true >/dev/null; docker rename $N $N-new; docker inspect -f '{{.Name}}' $N-new; docker rm $N-new",
    shows: /^\/(\S+-new)\n\1$/,
  },
  'rm refuses what runs, rm -f does not': {
    line: 'docker run -d --name $N busybox sleep 1000 >/dev/null; docker rm $N; docker rm -f $N; docker ps -aqf name=$N',
    shows: /(container is running|running container).*\n(.*\n)*\S+$/,
  },
  'wait tells exit statuses': {
    line: "docker run -d --name $N busybox sh -c 'sleep 0.3; exit 5' >/dev/null; docker wait $N; docker wait $N",
    shows: '5\n5',
  },
  'kill ends with 137': {
    line: 'docker run -d --name $N busybox sleep 1000 >/dev/null; docker kill $N >/dev/null; docker wait $N',
    shows: '137',
  },
  'attach gets and gives streams': {
    line: `docker run -di --name $N busybox sh -c 'read x; echo got $x' >/dev/null; (echo hi; wait_for 'docker logs $N | grep got') | docker attach $N`,
    shows: 'got hi',
  },
  'attach lets go by its keys, and the container goes on': {
    line: `docker run -dit --name $N busybox sh >/dev/null; (wait_for test -s typed; printf '\\020\\021') | script -qec "docker attach $N" typed >/dev/null & docker exec $N sh -c 'sleep 0.5'; echo >>typed; wait; docker inspect -f '{{.State.Status}}' $N`,
    shows: 'running',
  },
  'restart policy on-failure counts': {
    line: `docker run -d --restart on-failure:2 --name $N busybox false >/dev/null; wait_for '[ "$(docker inspect -f "{{.RestartCount}} {{.State.Status}}" $N)" = "2 exited" ]'; docker inspect -f '{{.RestartCount}} {{.State.ExitCode}}' $N`,
    shows: '2 1',
  },
  'restart policy always brings back what was killed': {
    line: `docker run -d --restart always --name $N busybox sleep 1000 >/dev/null; kill -9 $(docker inspect -f '{{.State.Pid}}' $N); wait_for '[ "$(docker inspect -f "{{.RestartCount}} {{.State.Status}}" $N)" = "1 running" ]'; docker exec $N echo back`,
    shows: 'back',
  },
  'health checks find out': {
    line: `docker run -d --name $N --health-cmd 'test -e /ok' --health-interval 200ms --health-retries 1 --health-timeout 20s busybox sleep 1000 >/dev/null; h() { docker inspect -f '{{.State.Health.Status}}' $N; }; wait_for '[ $(h) = unhealthy ]'; docker exec $N touch /ok; wait_for '[ $(h) = healthy ]'; h`,
    shows: 'healthy',
  },
  'events tell what happened in order': {
    line: `docker run --name $N busybox false; docker rm $N >/dev/null; docker events --since 10m --until $(date +%s.%N) -f type=container -f container=$N --format '{{.Action}}{{if eq .Action "die"}} {{.Actor.Attributes.exitCode}}{{end}}'`,
    shows: 'create\nattach\nstart\ndie 1\ndestroy',
  },
};

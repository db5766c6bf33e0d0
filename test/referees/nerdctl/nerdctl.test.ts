import { after, before, describe, test } from 'node:test';
import { type Expected, shown } from '../lines.ts';
import { NerdctlStage, nerdctl } from './stage.ts';

type Lines = Readonly<Record<string, Expected & { readonly line: string }>>;

const loop = `sh -c 'while :; do echo tick; sleep 0.2; done'`;

const foreground: Lines = {
  'run shows the output': { line: 'nerdctl run --rm --net none $I echo hello', shows: 'hello' },
  'run keeps the streams apart': {
    line: `nerdctl run --rm --net none $I sh -c 'echo out; echo err >&2' 2>/dev/null`,
    shows: 'out',
  },
  'run passes the exit status': {
    line: `nerdctl run --rm --net none $I sh -c 'exit 7'`,
    shows: '',
    status: 7,
  },
  'run -i hands input on, and its end': {
    line: `echo abc | nerdctl run -i --rm --net none $I sh -c 'cat; echo end'`,
    shows: 'abc\nend',
  },
  'run -it has a terminal': {
    line: `script -qec 'nerdctl run -it --rm --net none $I tty' /dev/null | grep -o /dev/.*`,
    shows: '/dev/pts/0',
  },
  'run with a user, a directory, a variable and a host name': {
    line: `nerdctl run --rm --net none -u 1000:1000 -w /etc -e A=b -h here $I sh -c 'echo $(id -u) $(pwd) $A $(hostname)'`,
    shows: '1000 /etc b here',
  },
  'run with limits': {
    line: `nerdctl run --rm --net none -m 64m --pids-limit 20 --ulimit nofile=100 $I sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max; ulimit -n'`,
    shows: '67108864\n20\n100',
  },
  'run without capabilities': {
    line: 'nerdctl run --rm --net none --cap-drop ALL $I grep CapEff /proc/self/status',
    shows: 'CapEff: 0000000000000000',
  },
  'run --privileged': {
    line: 'nerdctl run --rm --net none --privileged $I mount -t tmpfs x /tmp',
    shows: '',
  },
  'run --read-only': {
    line: 'nerdctl run --rm --net none --read-only $I touch /x',
    shows: /Read-only file system/,
    status: 1,
  },
  'run with mounts of the host, in memory, of a volume': {
    line: `echo there >f; nerdctl volume create $N >/dev/null; v() { nerdctl run --rm --net none -v $PWD:/x:ro --tmpfs /t:size=1m -v $N:/v $I sh -c "$1"; }; v 'echo kept >/v/f; df /t | grep -c tmpfs'; v 'cat /x/f /v/f'; nerdctl volume rm $N >/dev/null`,
    shows: '1\nthere\nkept',
  },
  'run in the namespaces of another': {
    line: `nerdctl run -d --name $N --net none $I sleep 4321 >/dev/null; nerdctl run --rm --net container:$N --pid container:$N $I ps | grep -c 'sleep [4]321'; nerdctl rm -f $N >/dev/null`,
    shows: '1',
  },
  'run on a root file system': {
    line: `mkdir -p r/bin; cp $(command -v busybox) r/bin/echo; nerdctl run --rm --net none --rootfs $PWD/r /bin/echo rootfs`,
    shows: 'rootfs',
  },
  'run with the native snapshotter': {
    line: 'nerdctl --snapshotter native pull -q $I >/dev/null; nerdctl --snapshotter native run --rm --net none $I echo native',
    shows: 'native',
  },
};

const life: Lines = {
  'run -d, ps, kill at once': {
    line: `nerdctl run -d --name $N --net none $I ${loop} >/dev/null; nerdctl ps -f name=$N --format '{{.Names}} {{.Status}}'; nerdctl kill $N >/dev/null; wait_for "nerdctl ps -a | grep $N | grep -q Exited"; nerdctl inspect -f '{{.State.Status}} {{.State.ExitCode}}' $N; nerdctl rm $N >/dev/null`,
    shows: /^c\d+x Up\nexited 137$/,
  },
  'logs, also those that follow': {
    line: `nerdctl run -d --name $N --net none $I sh -c 'echo a; sleep 1; echo b' >/dev/null; nerdctl logs -f $N; nerdctl wait $N; nerdctl logs --tail 1 $N; nerdctl rm $N >/dev/null`,
    shows: 'a\nb\n0\nb',
  },
  'stop, start, restart': {
    line: `nerdctl run -d --name $N --net none $I ${loop} >/dev/null; s() { nerdctl inspect -f '{{.State.Status}}' $N; }; nerdctl stop -t 1 $N >/dev/null; s; nerdctl start $N >/dev/null; s; nerdctl restart -t 1 $N >/dev/null; s; nerdctl rm -f $N >/dev/null`,
    shows: 'exited\nrunning\nrunning',
  },
  'create, start -a': {
    line: 'nerdctl create --name $N --net none $I echo made >/dev/null; nerdctl start -a $N; nerdctl rm $N >/dev/null',
    shows: 'made',
  },
  'wait tells the status': {
    line: `nerdctl run -d --name $N --net none $I sh -c 'sleep 1; exit 3' >/dev/null; nerdctl wait $N; nerdctl rm $N >/dev/null`,
    shows: '3',
  },
  'exec, with input, a user, in the background': {
    line: `nerdctl run -d --name $N --net none $I sleep 1000 >/dev/null; nerdctl exec $N echo in; echo abc | nerdctl exec -i $N cat; nerdctl exec -u 1000 -e A=b -w /etc $N sh -c 'echo $(id -u) $A $(pwd)'; nerdctl exec -d $N touch /d; wait_for "nerdctl exec $N ls /d"; script -qec "nerdctl exec -it $N tty" /dev/null | grep -o /dev/.*; nerdctl rm -f $N >/dev/null`,
    shows: 'in\nabc\n1000 b /etc\n/dev/pts/0',
  },
  'pause and unpause': {
    line: `nerdctl run -d --name $N --net none $I ${loop} >/dev/null; s() { nerdctl inspect -f '{{.State.Status}}' $N; }; nerdctl pause $N >/dev/null; s; nerdctl unpause $N >/dev/null; s; nerdctl rm -f $N >/dev/null`,
    shows: 'paused\nrunning',
  },
  'top, stats, update, rename': {
    line: `nerdctl run -d --name $N --net none $I sleep 4322 >/dev/null; nerdctl top $N | grep -c 'sleep 4322'; nerdctl stats --no-stream --format '{{.PIDs}}' $N; nerdctl update -m 64m $N; nerdctl exec $N cat /sys/fs/cgroup/memory/memory.limit_in_bytes; nerdctl rename $N $N-2; nerdctl ps -f name=$N-2 --format '{{.Names}}'; nerdctl rm -f $N-2 >/dev/null`,
    shows: /^1\n1\n67108864\nc\d+x-2$/,
  },
  'cp both ways': {
    line: `nerdctl run -d --name $N --net none $I sleep 1000 >/dev/null; echo there >f; nerdctl cp f $N:/tmp/f; nerdctl exec $N cat /tmp/f; nerdctl cp $N:/etc/passwd p; grep -c root p; nerdctl rm -f $N >/dev/null`,
    shows: 'there\n1',
  },
  'diff, export, commit': {
    line: `nerdctl run -d --name $N --net none $I sh -c 'echo new >/n; sleep 1000' >/dev/null; wait_for nerdctl exec $N ls /n; nerdctl diff $N | grep /n; nerdctl export $N | tar -tf - | grep -cx n; nerdctl commit $N $N:1 >/dev/null; nerdctl rm -f $N >/dev/null; nerdctl run --rm --net none $N:1 cat /n; nerdctl rmi $N:1 >/dev/null`,
    shows: 'A /n\n1\nnew',
  },
  'restart policies': {
    line: `nerdctl run -d --name $N --restart on-failure:1 --net none $I sh -c 'echo turn; exit 3' >/dev/null; wait_for '[ "$(nerdctl logs $N | grep -c turn) $(nerdctl inspect -f "{{.State.Status}}" $N)" = "2 exited" ]'; echo again; nerdctl rm -f $N >/dev/null; nerdctl run -d --name $N-2 --restart unless-stopped --net none $I sleep 1000 >/dev/null; nerdctl stop -t 1 $N-2 >/dev/null; nerdctl inspect -f '{{.State.Status}}' $N-2; nerdctl rm $N-2 >/dev/null`,
    shows: 'again\nexited',
  },
  'events tell of a run': {
    line: `timeout 40 nerdctl events >e & wait_for "nerdctl run --rm --net none $I true; grep -q /tasks/exit e"; grep -o '/tasks/[a-z]*' e | sort -u | tr '\\n' ' '; kill %1`,
    shows: /create .*exit .*start/,
  },
  'namespaces are apart': {
    line: `nerdctl namespace create $N; nerdctl --namespace $N pull -q $I >/dev/null; nerdctl --namespace $N run --rm --net none $I echo other; nerdctl --namespace $N rmi $I >/dev/null; nerdctl namespace rm $N >/dev/null; nerdctl namespace ls -q | grep -c $N`,
    shows: 'other\n0',
    status: 1,
  },
};

const images: Lines = {
  'pull, images, inspect, history': {
    line: `nerdctl pull -q $I >/dev/null; nerdctl images --digests --format '{{.Repository}}:{{.Tag}}' | grep -c $REG/busybox:latest; nerdctl image inspect -f '{{.Os}}' $I; nerdctl history -q $I | wc -l`,
    shows: /^\d+\nlinux\n[1-9]\d*$/,
  },
  'pull tells its progress': {
    line: 'nerdctl --namespace $N pull $I | tr "\\r" "\\n" | grep -c done; nerdctl --namespace $N rmi $I >/dev/null',
    shows: /^[1-9]\d*$/,
  },
  'a missing image': { line: 'nerdctl pull -q $REG/none:1', shows: /not found/, status: 1 },
  'tag and push, and pull again': {
    line: 'nerdctl tag $I $REG/$N:1; nerdctl push -q $REG/$N:1 >/dev/null; nerdctl rmi $REG/$N:1 >/dev/null; nerdctl pull -q $REG/$N:1 >/dev/null; nerdctl run --rm --net none $REG/$N:1 echo pushed; nerdctl rmi $REG/$N:1 >/dev/null',
    shows: 'pushed',
  },
  'save and load': {
    line: 'nerdctl tag $I $N:1; nerdctl save -o i.tar $N:1; nerdctl rmi $N:1 >/dev/null; nerdctl load -q -i i.tar | grep -c $N:1; nerdctl run --rm --net none $N:1 echo loaded; nerdctl rmi $N:1 >/dev/null',
    shows: '1\nloaded',
  },
  'convert to zstd and eStargz': {
    line: 'for to in "--zstd" "--estargz"; do nerdctl image convert --oci $to $I $N:1 >/dev/null; nerdctl run --rm --net none $N:1 echo "$to"; nerdctl rmi $N:1 >/dev/null; done',
    shows: '--zstd\n--estargz',
  },
  'login asks the registry': {
    line: 'nerdctl login -u x -p y $REG 2>&1 | tail -1',
    shows: 'Login Succeeded',
  },
};

const networks: Lines = {
  'containers reach each other on a bridge': {
    line: `nerdctl run -d --name $N $I httpd -f -p 80 -h /etc >/dev/null; ip=$(nerdctl inspect -f '{{.NetworkSettings.IPAddress}}' $N); nerdctl run --rm $I wget -qO- http://$ip/passwd | grep -c root; nerdctl rm -f $N >/dev/null`,
    shows: '1',
  },
  'a published port': {
    line: `nerdctl run -d --name $N -p 8089:80 $I httpd -f -p 80 -h /etc >/dev/null; nerdctl port $N; wait_for 'curl -s http://127.0.0.1:8089/passwd | grep root'; echo reached; nerdctl rm -f $N >/dev/null`,
    shows: '80/tcp -> 0.0.0.0:8089\nreached',
  },
  'a network of its own, with a fixed address and a name server': {
    line: `nerdctl network create --subnet 10.77.0.0/24 $N >/dev/null; nerdctl run --rm --net $N --ip 10.77.0.9 --dns 9.9.9.9 --add-host there:10.1.2.3 $I sh -c 'ip addr show eth0 | grep -o 10.77.0.9/; cat /etc/resolv.conf; grep -o there /etc/hosts'; nerdctl network rm $N >/dev/null`,
    shows: '10.77.0.9/\nnameserver 9.9.9.9\nthere',
  },
  'compose with two services': {
    line: `printf 'services:\\n  web:\\n    image: %s\\n    command: httpd -f -p 80 -h /etc\\n  cli:\\n    image: %s\\n    command: sleep 1000\\n    depends_on: [web]\\n' $I $I >compose.yaml; nerdctl compose up -d >/dev/null 2>&1; nerdctl compose ps --services | sort; nerdctl compose exec -T cli wget -qO- http://web/passwd | grep -c root; nerdctl compose down >/dev/null 2>&1; nerdctl ps -a | grep -c $N`,
    shows: 'cli\nweb\n1\n0',
    status: 1,
  },
};

let count = 0;

describe('nerdctl 2.2.1', { skip: nerdctl === undefined && 'nerdctl could not be built' }, () => {
  let stage: NerdctlStage;
  before(async () => {
    stage = await NerdctlStage.open();
    shown(await stage.line('pull', 'nerdctl pull -q $I >/dev/null'), { shows: '' });
  });
  after(() => stage?.[Symbol.asyncDispose]());

  for (const [name, lines] of Object.entries({ foreground, life, images, networks }))
    describe(name, { concurrency: 4 }, () => {
      for (const [title, { line, ...expected }] of Object.entries(lines))
        test(title, async () => shown(await stage.line(`c${++count}x`, line), expected));
    });

  // nerdctl's logger ends with the daemon.
  test('a container goes on when the daemon is killed, and is logged again', async () => {
    const script = 'until [ -e /end ]; do sleep 0.1; done; echo last; exit 5';
    const run = `nerdctl run -d --name killed --net none $I sh -c '${script}' >/dev/null`;
    shown(await stage.line('killed', run), { shows: '' });
    await stage.restart();
    const line =
      'nerdctl exec killed touch /end; nerdctl wait killed; wait_for "nerdctl logs killed | grep last"';
    shown(await stage.line('killed', `${line}; nerdctl rm killed`), { shows: '5\nkilled' });
  });

  test('nothing is left', async () => {
    shown(await stage.line('left', 'nerdctl ps -aq'), { shows: '' });
  });
});

import type { Checks } from './checks.ts';
import { noSysResource } from './machine.ts';

/** Limits, rights, volumes and networks of containers. */
export const resources: Checks = {
  '-m ends what takes more: OOMKilled and 137': {
    line: `docker run -d --name $N -m 16m busybox sh -c 'tail /dev/zero; exit' >/dev/null; docker wait $N; docker inspect -f '{{.State.OOMKilled}}' $N`,
    shows: '137\ntrue',
  },
  '--cpus': {
    line: `docker run --rm --cpus 0.5 busybox sh -c 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null; true'`,
    shows: /^50000/,
  },
  '--pids-limit': {
    line: `docker run --rm --pids-limit 5 busybox sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 1 & done'`,
    shows: /can't fork: Resource temporarily unavailable/,
    status: 2,
  },
  'update changes limits of what runs': {
    line: `docker run -d --name $N -m 64m --memory-swap 64m busybox sleep 1000 >/dev/null; docker update -m 32m --memory-swap 64m $N >/dev/null; docker exec $N sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true'`,
    shows: '33554432',
  },
  '--ulimit': {
    line: 'docker run --rm --ulimit nofile=77:99 busybox sh -c "ulimit -n; ulimit -Hn"',
    shows: '77\n99',
  },
  '--sysctl': {
    line: 'docker run --rm --sysctl net.ipv4.ip_default_ttl=33 busybox cat /proc/sys/net/ipv4/ip_default_ttl',
    shows: '33',
  },
  '--shm-size': { line: 'docker run --rm --shm-size 3m busybox df -k /dev/shm', shows: /shm 3072 / },
  '--device': {
    line: 'docker run --rm --device /dev/loop0:/dev/mine busybox ls -l /dev/mine',
    shows: /^b.* 7, 0 .*\/dev\/mine$/,
  },
  '--cap-drop': {
    line: 'docker run --rm --cap-drop CHOWN busybox chown 1 /tmp',
    shows: /Operation not permitted/,
    status: 1,
  },
  '--cap-add': { line: 'docker run --rm --cap-add NET_ADMIN busybox ip link set lo mtu 1000', shows: '' },
  'without it, it may not': {
    line: 'docker run --rm busybox ip link set lo mtu 1000',
    shows: /Operation not permitted/,
    status: 2,
  },
  '--cap-add ALL': {
    line: 'docker run --rm --cap-add ALL busybox mount -t tmpfs none /tmp',
    shows: '',
    without: {
      lack: noSysResource,
      shows: /unable to apply caps: operation not permitted/,
      status: 125,
      only: 20,
    },
  },
  '--privileged': {
    line: 'docker run --rm --privileged busybox mount -t tmpfs none /tmp',
    shows: '',
    without: {
      lack: noSysResource,
      shows: /unable to apply caps: operation not permitted/,
      status: 125,
      only: 20,
    },
  },
  '--oom-score-adj': {
    line: 'docker run --rm --oom-score-adj -500 busybox cat /proc/self/oom_score_adj',
    shows: '-500',
    without: { lack: noSysResource, shows: /can't get final child's PID from pipe: EOF/, status: 125 },
  },
  'seccomp refuses by default': {
    line: 'docker run --rm busybox unshare -m true',
    shows: /unshare.*Operation not permitted/,
    status: 1,
  },
  'seccomp=unconfined does not': {
    line: 'docker run --rm --security-opt seccomp=unconfined --cap-add SYS_ADMIN busybox unshare -m echo free',
    shows: 'free',
  },
  'no-new-privileges': {
    line: 'docker run --rm --security-opt no-new-privileges busybox grep NoNewPrivs /proc/self/status',
    shows: 'NoNewPrivs: 1',
  },
  '--read-only': {
    line: 'docker run --rm --read-only busybox touch /x',
    shows: /Read-only file system/,
    status: 1,
  },
  '--tmpfs': { line: `docker run --rm --tmpfs /t:size=1m busybox df -k /t`, shows: /tmpfs 1024 / },
  'a volume outlives its containers': {
    line: 'docker volume create $N; docker run --rm -v $N:/v busybox sh -c "echo kept >/v/f"; docker run --rm -v $N:/w busybox cat /w/f; docker volume rm $N; docker volume ls -qf name=$N',
    shows: /^(\S+)\nkept\n\1$/,
  },
  'a directory of the host is bound, and not to be written to when so asked': {
    line: `docker run --rm -v $PWD:/b busybox touch /b/f; ls; docker run --rm -v $PWD:/b:ro busybox touch /b/g`,
    shows: /^f\ntouch: \/b\/g: Read-only file system$/,
    status: 1,
  },
  '--volumes-from': {
    line: 'docker run --name $N -v /v busybox sh -c "echo mine >/v/f"; docker run --rm --volumes-from $N busybox cat /v/f',
    shows: 'mine',
  },
  '--network none has loopback alone': {
    line: 'docker run --rm --network none busybox ls /sys/class/net',
    shows: 'lo',
  },
  '--network host': {
    line: 'docker run --rm --network host busybox cat /proc/net/dev >f; grep -c docker0 f',
    shows: '1',
  },
  'a network of its own with names': {
    line: `docker network create $N >/dev/null; docker run -d --name $N-a --network $N --network-alias other busybox httpd -f -h /etc >/dev/null; docker run --rm --network $N busybox sh -c "until wget -qO- http://$N-a/passwd; do sleep 0.1; done 2>/dev/null; wget -qO- http://other/group"; docker rm -f $N-a >/dev/null; docker network rm $N >/dev/null`,
    shows: 'root:x:0:0:root:/root:/bin/sh\nroot:x:0:',
  },
  'connect and disconnect while it runs': {
    line: `docker network create $N >/dev/null; docker run -d --name $N-a busybox sleep 1000 >/dev/null; n() { docker exec $N-a ls /sys/class/net | wc -l; }; n; docker network connect $N $N-a; n; docker network disconnect $N $N-a; n; docker rm -f $N-a >/dev/null; docker network rm $N >/dev/null`,
    shows: '2\n3\n2',
  },
  '--network container:': {
    line: 'docker run -d --name $N busybox httpd -f -h /etc >/dev/null; docker run --rm --network container:$N busybox sh -c "until wget -qO- http://127.0.0.1/group; do sleep 0.1; done 2>/dev/null"',
    shows: 'root:x:0:',
  },
  '--pid container:': {
    line: 'docker run -d --name $N busybox sleep 1000 >/dev/null; docker run --rm --pid container:$N busybox ps -o pid,args',
    shows: /\n1 sleep 1000\n/,
  },
  '--pid host': {
    line: 'docker run --rm --pid host busybox sh -c "[ \\$\\$ -gt 1 ] && ps -o args | grep -c [d]ockerd.log"',
    shows: /^\d+$/,
    status: 1,
  },
  '--ipc container:': {
    line: 'docker run -d --name $N --ipc shareable busybox sleep 1000 >/dev/null; docker exec $N touch /dev/shm/there; docker run --rm --ipc container:$N busybox ls /dev/shm',
    shows: 'there',
  },
  'a published port is reached, and port tells it': {
    line: `docker run -d --name $N -p 80 busybox httpd -f -h /etc >/dev/null; at=$(docker port $N 80 | head -1); wait_for curl -sS http://127.0.0.1:\${at##*:}/group; curl -sS http://127.0.0.1:\${at##*:}/group; docker port $N`,
    shows: /^root:x:0:\n80\/tcp -> 0\.0\.0\.0:\d+/,
  },
  'two containers talk': {
    line: `docker run -d --name $N busybox httpd -f -h /etc >/dev/null; ip=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' $N); docker run --rm --add-host there:$ip busybox sh -c "until wget -qO- http://there/group; do sleep 0.1; done 2>/dev/null"`,
    shows: 'root:x:0:',
  },
};

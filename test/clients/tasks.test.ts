import { checkWithEach } from './table.ts';

const failedStart =
  'ctr: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/nope": stat /nope: no such file or directory';
const loop = `sh -c 'trap "exit 3" TERM; while :; do sleep 0.05; done'`;
const rows = "sed -E 's/(^| )[0-9]{2,} /\\1PID /'";
/** What a client in a terminal of its own shows. */
const terminal = (line: string): string => `script -qefc "${line}" /dev/null | sed 's/^\\^@//'`;

checkWithEach({
  'run --rm shows the output': { line: '$C run --rm $IMG a echo hello', shows: 'hello' },
  'run --rm passes stderr and the exit status through': {
    line: `$C run --rm $IMG a sh -c 'echo err >&2; exit 7'`,
    shows: 'err',
    status: 7,
  },
  'run --rm leaves neither container nor task nor snapshot': {
    line: '$C run --rm $IMG a true; $C task ls; $C c ls; $C snapshots ls | grep -c Active',
    shows: 'TASK PID STATUS\nCONTAINER IMAGE RUNTIME\n0',
    status: 1,
  },
  'run takes environment, directory, and a read-only bind mount': {
    line: `$C run --rm --env A=b --cwd /tmp --mount type=bind,src=/etc,dst=/mnt,options=rbind:ro $IMG a sh -c 'exec 2>&1; echo $A; pwd; ls /mnt/passwd; touch /mnt/x'`,
    shows: 'b\n/tmp\n/mnt/passwd\ntouch: /mnt/x: Read-only file system',
    status: 1,
  },
  'run --user chooses ids': {
    line: '$C run --rm --user 1000:1001 $IMG a id',
    shows: 'uid=1000 gid=1001 groups=1001',
    only: 'v2',
  },
  'run --user of a name that is not there is refused': {
    line: '$C run --rm --user nobody $IMG a id; s=$?; $C snapshots rm a 2>/dev/null; exit $s',
    shows: /ctr: no users found$/,
    shows21: /ctr: mount callback failed on \S+: no users found$/,
    status: 1,
    only: 'v2',
  },
  'run --hostname names the host': {
    line: '$C run --rm --hostname hh $IMG a hostname',
    shows: 'hh',
    only: 'v2',
  },
  'run --read-only': {
    line: '$C run --rm --read-only $IMG a touch /x',
    shows: 'touch: /x: Read-only file system',
    status: 1,
  },
  'run --net-host sees the interfaces of the host': {
    line: '[ $($C run --rm --net-host $IMG a ls /sys/class/net | wc -l) = $(ls /sys/class/net | wc -l) ] && echo same',
    shows: 'same',
  },
  'run --cap-add and --cap-drop change the capabilities': {
    line: '$C run --rm --cap-add CAP_SYS_ADMIN --cap-drop CAP_CHOWN $IMG a grep CapEff /proc/self/status',
    shows: 'CapEff: 00000000a82425fa',
  },
  'run --seccomp filters': {
    line: '$C run --rm --seccomp $IMG a unshare -m true',
    shows: 'unshare: unshare(0x20000): Operation not permitted',
    status: 1,
  },
  'run --null-io shows nothing': { line: '$C run --rm --null-io $IMG a echo quiet', shows: '' },
  'run --log-uri file:// writes there': {
    line: '$C run -d --log-uri file://$PWD/log $IMG a echo logged; for i in {1..100}; do [ -s log ] && break; sleep 0.1; done; cat log; rm log; $C task rm a; $C c rm a',
    shows: 'logged',
  },
  'run --pid-file names the first process': {
    line: '$C run -d --pid-file $PWD/pid $IMG a sleep 100; for i in {1..100}; do grep -q sleep /proc/$(cat pid)/cmdline && break; sleep 0.1; done; tr "\\0" " " < /proc/$(cat pid)/cmdline; rm pid; $C task rm -f a 2>/dev/null; $C c rm a',
    shows: 'sleep 100',
  },
  'run --rootfs takes a directory instead of an image': {
    line: 'mkdir -p r/bin; cp /bin/busybox r/bin; $C run --rm --rootfs $PWD/r a /bin/busybox echo rootfs; rm -r r',
    shows: 'rootfs',
  },
  'run of an unknown image': {
    line: '$C run --rm nope a true',
    shows: 'ctr: image "nope": not found',
    status: 1,
  },
  'run of a program that is not there says so and leaves nothing': {
    line: '$C run --rm --fifo-dir $PWD/fifos $IMG a /nope; s=$?; $C c ls -q; $C snapshots ls | grep Active; exit $s',
    shows: new RegExp(`(^|\\n)${failedStart}(: unknown)?$`),
    status: 1,
  },
  'run with an id that is none': {
    // The snapshot it leaves is garbage: a collection may be quicker than the removal.
    line: '$C run --rm $IMG ../../x true; s=$?; $C snapshots rm ../../x 2>/dev/null; exit $s',
    shows:
      'ctr: create container failed validation: container.ID: identifier "../../x" must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$: invalid argument',
    status: 1,
  },
  'run -t gives a terminal': {
    line: terminal("$C run --rm -t $IMG a sh -c 'tty; test -t 0 && test -t 1 && test -t 2; exit 4'"),
    shows: '/dev/pts/0',
  },
  'run -t takes the size of the terminal and passes the status on': {
    line: `set -o pipefail; ${terminal("stty rows 33 cols 44; $C run --rm -t $IMG a sh -c 'sleep 0.4; stty size; exit 4'")}`,
    shows: '33 44',
    status: 4,
  },
  'run -d goes on, and a second of that name is refused': {
    line: `$C run -d $IMG d ${loop}; $C run -d $IMG d true`,
    shows: 'ctr: snapshot "d": already exists',
    status: 1,
  },
  'task ls and task ps show it': {
    line: `$C task ls | ${rows}; $C task ps d | ${rows}`,
    shows: /^TASK PID STATUS\nd PID RUNNING\nPID INFO\nPID -(\nPID -)?$/,
  },
  'c ls and c info show the container': {
    line: `$C c ls; $C c ls -q; $C c info d | grep -E '"(ID|Image|Name|SnapshotKey|Snapshotter|type_url)"' | head -6`,
    shows:
      'CONTAINER IMAGE RUNTIME\nd $IMG io.containerd.runc.v2\nd\n "ID": "d",\n "Image": "$IMG",\n "Name": "io.containerd.runc.v2",\n "type_url": "containerd.runc.v1.Options"\n "SnapshotKey": "d",\n "Snapshotter": "overlayfs",',
  },
  'c label sets a label, c ls filters by it': {
    line: '$C c label d x=y | grep -c x=y; $C c ls -q labels.x==y; $C c ls -q labels.x==z',
    shows: '1\nd',
  },
  'task exec shows output and passes the status on': {
    line: "$C task exec --exec-id e d sh -c 'echo in exec; exit 5'",
    shows: 'in exec',
    status: 5,
  },
  'task exec -t gives a terminal': {
    line: terminal("$C task exec -t --exec-id e d sh -c 'test -t 0 && tty'"),
    shows: /^\/dev\/pts\/\d$/,
  },
  'task exec takes a directory': {
    line: '$C task exec --exec-id e --cwd /tmp d pwd',
    shows: '/tmp',
  },
  'task exec of a program that is not there': {
    line: '$C task exec --exec-id e d /nope',
    shows:
      /(^|\n)ctr: OCI runtime exec failed: exec failed: unable to start container process: exec: "\/nope": stat \/nope: no such file or directory(: unknown)?$/,
    status: 1,
  },
  'task exec in an unknown container': {
    line: '$C task exec --exec-id e nope true',
    shows: /^ctr: container "nope" in namespace "v\d+": not found$/,
    status: 1,
  },
  'task exec -d goes on, is killed alone, and leaves by task delete --exec-id': {
    line: '$C task exec -d --fifo-dir $PWD/fifos --exec-id s d sleep 50; $C task kill --exec-id s -s KILL d; sleep 0.2; $C task delete --exec-id s d; echo $?; $C task ls | grep -c RUNNING',
    shows: '137\n1',
  },
  'task pause and resume': {
    line: '$C task pause d; $C task ls | grep -o PAUSED; $C task resume d; $C task ls | grep -o RUNNING',
    shows: 'PAUSED\nRUNNING',
  },
  'task metrics reads the cgroup': {
    line: '$C task metrics d',
    shows: /^ID TIMESTAMP\nd .*\n\nMETRIC VALUE\n(.*\n)*pids\.current +[12]\n/,
  },
  'c rm and task rm of what runs are refused': {
    line: '$C c rm d 2>&1 | tail -1; $C task rm d 2>&1 | tail -1; $C task ls | grep -c d',
    shows:
      'ctr: cannot delete a non stopped container: {running 0 0001-01-01 00:00:00 +0000 UTC}\nctr: task must be stopped before deletion: running: failed precondition\n1',
  },
  'task kill of a signal that is none': {
    line: '$C task kill -s NOPE d',
    shows: 'ctr: invalid signal: NOPE',
    status: 1,
  },
  'task attach follows a detached task to its end by TERM, with its status': {
    line: '(sleep 0.3; $C task kill d) & $C task attach d; echo $?; wait; $C c rm d',
    shows: '3',
  },
  'task kill -s KILL -a ends all processes, task rm tells the status': {
    line: `$C run -d $IMG k ${loop}; $C task exec -d --fifo-dir $PWD/fifos --exec-id s k sleep 50; $C task kill -a -s KILL k; sleep 0.2; $C task ls | grep -o STOPPED; $C task rm k; $C c rm k`,
    shows: /^STOPPED\ntime=.* level=warning msg="task k exit with non-zero exit code 137"$/,
  },
  'task rm -f kills first': {
    line: '$C run -d $IMG f sleep 100; $C task rm -f f; $C task ls -q; $C c rm f; $C c ls -q',
    shows: /^time=.*msg="task f exit with non-zero exit code 137"$/,
  },
  'c create, task start, and task start -d again after its end': {
    line: '$C c create $IMG c echo made; $C task start c; $C task start -d --null-io c; sleep 0.2; $C task rm c; $C c rm c',
    shows: 'made',
  },
  'what is not there is not found': {
    line: '$C task kill nope; $C task rm nope 2>/dev/null; $C c info nope; $C c rm nope 2>&1 | tail -1; $C task attach nope',
    shows: /^(ctr: container "nope" in namespace "v\d+": not found\n?){4}$/,
    status: 1,
  },
});

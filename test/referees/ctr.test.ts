// The command groups of ctr that the tables of test/clients leave out, and that none is left out by all of them.
// BERTH_TEST_PEER=containerd runs the same, and those tables, against containerd 2.3.4.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { checkWithEach, clients } from '../clients/table.ts';
import { shim2, top } from '../kit/paths.ts';
import { output } from '../kit/run.ts';

const dir = mkdtempSync('/var/tmp/berth-ctr-');
after(() => rmSync(dir, { recursive: true, force: true }));

const digest = 'sha256:[0-9a-f]{64}';
const zeros = `sha256:${'0'.repeat(64)}`;
/** Nothing of it is unpacked. */
const fetched = '$D content fetch --plain-http $IMG >/dev/null 2>&1;';
const target = "T=$($C images ls name==$IMG | grep -o 'sha256:[0-9a-f]*');";
const config = `${target} F=$($C content get $T | grep -oE 'sha256:[0-9a-f]+' | head -1);`;
/** `S`: the socket of the shim of container sh1, in the daemon's directory or, of containerd, the host's. */
const socket =
  'set -- $C; N=$(printf %s "$3/$NS/sh1" | sha256sum | cut -c1-64); S=$(ls -d {$PWD/state,/run/containerd}/s/$N 2>/dev/null);';
const debug = `-d ${dir}/debug.sock`;

checkWithEach(
  {
    'plugins ls -d tells type, id and state of one': {
      line: '$C plugins ls -d id==overlayfs | grep -E "^(Type|ID):"',
      shows: 'Type: io.containerd.snapshotter.v1\nID: overlayfs',
    },
    'plugins ls takes filters': {
      line: "$C plugins ls type==io.containerd.differ.v1 | awk '{print $1, $2}' | grep walking",
      shows: 'io.containerd.differ.v1 walking',
    },
    'plugins inspect-runtime asks the runtime': {
      line: '$C plugins inspect-runtime | grep -oE \'"(Name|Version|Options|Features|Annotations)"\' | sort | tr "\\n" " "',
      shows: /^"Annotations" "Features" "Name" ("Options" )?"Version"/,
      only: 'v2',
    },
    'plugins inspect-runtime of one that is not there says so': {
      line: '$C plugins inspect-runtime --runtime io.containerd.nope.v1',
      shows: /io\.containerd\.nope\.v1.*(not found|not installed|no such file)/,
      status: 1,
      only: 'v2',
    },
    'content fetch gets content and image, and unpacks nothing': {
      line: `${fetched} $D images ls -q; $D content ls -q | wc -l; $D snapshots ls`,
      shows: '$IMG\n3\nKEY PARENT KIND',
    },
    'content fetch of what the registry has not': {
      line: '$C content fetch --plain-http $HOST/nope:1 2>&1 | tail -1',
      shows: /^ctr: failed to resolve .*nope:1.*: not found$/,
    },
    'snapshots unpack makes snapshots of what was fetched': {
      line: `${fetched} $D snapshots unpack $($D images ls | grep -o 'sha256:[0-9a-f]*') >/dev/null; $D snapshots ls | grep -c Committed; $D run --rm $IMG u echo ran; $D images rm --sync $IMG`,
      shows: '1\nran\n$IMG',
    },
    'snapshots unpack of what is not here is refused': {
      line: `$C snapshots unpack ${zeros}`,
      shows: /ctr: .*not found/,
      status: 1,
    },
    'content fetch-object shows the manifest as the registry has it': {
      line: `${target} $C content fetch-object --plain-http $IMG $T | grep -c '"layers"'`,
      shows: '1',
    },
    'content fetch-blob gives the bytes of a digest': {
      line: `${config} $C content fetch-blob --plain-http $IMG $F | sha256sum | grep -c \${F#*:}`,
      shows: '1',
      only: 'v2',
    },
    'content push-object takes a blob to another repository': {
      line: `${config} $C content push-object --plain-http $HOST/objects-$NS:1 $F application/vnd.docker.container.image.v1+json`,
      shows: new RegExp(`Pushed ${digest} application/vnd\\.docker\\.container\\.image\\.v1\\+json`),
    },
    'content edit makes a new blob of an old one': {
      line: `${config} E=$($C content edit --editor 'echo >>' $F) && [ $E != $F ] && $C content get $E | cmp - <($C content get $F; echo) && echo longer`,
      shows: 'longer',
    },
    'content prune references --dry takes nothing': {
      line: '$C content prune references --dry >/dev/null 2>&1; $C content ls | grep -c gc.ref.content.l.0',
      shows: '1',
    },
    'content prune references lets layers go that are unpacked, and the image runs on': {
      line: '$D images pull --plain-http $IMG >/dev/null 2>&1; $D content prune references >/dev/null 2>&1; $D content ls | grep -c gc.ref.content.l.0; $D content ls -q | wc -l; $D run --rm $IMG p echo still; $D images rm --sync $IMG',
      shows: '0\n2\nstill\n$IMG',
    },
    'images check -q shows names of complete ones': { line: '$C images check -q', shows: '$IMG' },
    'images inspect shows the tree of an image': {
      line: '$C images inspect $IMG',
      shows: new RegExp(`busybox:latest(.*\\n)+.*manifest.*${digest}`),
      only: 'v2',
    },
    'images inspect of an unknown one says not found': {
      line: '$C images inspect nope',
      shows: 'ctr: image "nope": not found',
      status: 1,
      only: 'v2',
    },
    'images convert to OCI types and plain layers, and it runs': {
      line: '$C images convert --oci --uncompress $IMG x.io/plain:1 >/dev/null && $C content get $($C images ls name==x.io/plain:1 | grep -o sha256:[0-9a-f]*) | grep -oE "application/vnd.oci.image.[a-z.0-9+]*(tar|json)" | sort -u; $C run --rm --snapshotter native x.io/plain:1 c echo ran; $C images rm --sync x.io/plain:1',
      shows: /application\/vnd\.oci\.image\.layer\.v1\.tar/,
    },
    'images push, and pull of that in another namespace': {
      line: '$C images push --plain-http $HOST/pushed-$NS:1 $IMG >/dev/null 2>&1 && $D images pull --plain-http $HOST/pushed-$NS:1 >/dev/null 2>&1 && $D run --rm $HOST/pushed-$NS:1 p echo pulled; $D images rm --sync $HOST/pushed-$NS:1 | grep -c pushed',
      shows: 'pulled\n1',
    },
    'images push of an unknown one says not found': {
      line: '$C images push --plain-http $HOST/pushed:2 nope:1 2>&1 | tail -1',
      shows: /ctr: .*not found$/,
    },
    'images prune takes what no container uses': {
      line: '$D content fetch --plain-http $IMG >/dev/null 2>&1; $D images prune --all 2>/dev/null; $D images ls -q | wc -l',
      shows: '0',
      only: 'v2',
    },
    'leases ls -q and labels': {
      line: '$C leases create --id q1 a=b; $C leases ls -q; $C leases ls | grep -c a=b; $C leases rm --sync q1',
      shows: 'q1\nq1\n1\nq1',
    },
    'namespaces ls -q shows names': {
      line: '$C ns ls -q | grep -cx $NS',
      shows: '1',
    },
    'containers info --spec has the process': {
      line: `$C c create $IMG i echo of-i; $C c info --spec i | grep -c '"of-i"'; $C c rm i`,
      shows: '1',
    },
    'containers create of a taken id is refused': {
      line: '$C c create $IMG t true; $C c create --snapshotter native $IMG t true 2>&1 | tail -1; $C c rm t; $C snapshots --snapshotter native rm t 2>/dev/null; true',
      shows: /^ctr: container "t": already exists$/,
    },
    'tasks start of a container that is not there': {
      line: '$C task start nope',
      shows: /^ctr: container "nope" in namespace "v\d+": not found$/,
      status: 1,
    },
    'tasks ps of a container that is not there': {
      line: '$C task ps nope',
      shows: /^ctr: container "nope" in namespace "v\d+": not found$/,
      status: 1,
    },
    'install puts the programs of an image where it is told': {
      line: 'mkdir opt-$NS; $C install --path $PWD/opt-$NS $IMG && ls opt-$NS/bin | grep -cx busybox',
      shows: '1',
    },
    'install again is refused, but for --replace': {
      line: '$C install --path $PWD/opt-$NS $IMG; $C install --path $PWD/opt-$NS --replace $IMG && echo replaced',
      shows:
        /^ctr: cannot replace .*opt-v\d+\/bin\/?\S* in .*\nreplaced$|^ctr: cannot replace \S+.*\nreplaced$/,
    },
    'sandboxes ls of none': {
      line: '$C sandboxes ls',
      shows: /^ID/,
      only: 'v2',
    },
    'sandboxes info and rm of an unknown one': {
      line: '$C sandboxes info nope; $C sandboxes rm nope',
      shows: /nope.*not found/,
      only: 'v2',
    },
    'deprecations list': {
      line: '$C deprecations list',
      shows: /^(ID LAST OCCURRENCE MESSAGE(\n.+)*)?$/,
      only: 'v2',
    },
    'pprof goroutines, block, threadcreate': {
      line: `P="$C pprof ${debug}"; for p in goroutines block threadcreate; do $P $p | wc -c | grep -c '^0$'; done`,
      shows: '0\n0\n0',
      status: 1,
    },
    'pprof heap and profile are gzip': {
      line: `$C pprof ${debug} heap | gzip -t && $C pprof ${debug} profile -s 1s | gzip -t && echo both`,
      shows: 'both',
    },
    'pprof without a debug socket there': {
      line: `$C pprof -d ${dir}/none heap`,
      shows: /none: connect: no such file or directory$/,
      status: 1,
    },
    "shim state tells what containerd's shim knows of its task": {
      line: `$C run -d --runtime ${shim2} $IMG sh1 sleep 100; ${socket} $C shim --id sh1 --shim-address unix://$S state -t sh1 | grep -E '"(id|status)"'; $C task rm -f sh1 2>/dev/null; $C c rm sh1`,
      shows: '"id": "sh1",\n "status": 2,',
      only: 'v2',
    },
    "shim commands that name no task reach containerd's shim and do nothing": {
      line: `$C run -d --runtime ${shim2} $IMG sh1 sleep 100; ${socket} H="$C shim --id sh1 --shim-address unix://$S"; for c in start delete shutdown; do echo "== $c"; $H $c; done; $C task ls | grep -c RUNNING; $C task rm -f sh1 2>/dev/null; $C c rm sh1`,
      shows:
        '== start\nctr: rpc error: code = NotFound desc = container not created: not found\n== delete\nctr: rpc error: code = NotFound desc = container not created: not found\n== shutdown\n1',
      only: 'v2',
    },
    'shim state, start and delete of none': {
      line: '$C shim --id nope state; $C shim --id nope start; $C shim --id nope delete',
      shows: /^(ctr: fail to connect to container .*\n?){3}$/,
      status: 1,
    },
    'oci spec has namespaces and mounts': {
      line: '$C oci spec | grep -cE \'"(namespaces|mounts)"\'',
      shows: '2',
    },
  },
  { config: `[debug]\naddress = "${dir}/debug.sock"\n` },
);

/** Commands that are driven by a file which says so in other words. */
const elsewhere = {
  'sandboxes run': 'test/sandbox/sandboxes.test.ts',
  'pprof trace': 'test/daemon/debug.test.ts',
};
const untried = {
  'shim exec': 'names no task, and wants FIFOs that it does not make',
  'shim pprof': 'wants a shim that was started with -debug',
};

/** Lines of the tables and of the checkpoint tests, words divided by blanks. */
const lines = [
  ...readdirSync(join(top, 'test/clients')).map((name) => join(top, 'test/clients', name)),
  import.meta.filename,
].flatMap((file) => readFileSync(file, 'utf8').replaceAll("', '", ' ').split('\n'));

describe('every command has a check', () => {
  for (const [client, ctr] of Object.entries(clients))
    test(`of ctr ${client}`, async () => {
      const missing: string[] = [];
      for (const group of await commandsOf(ctr)) {
        const subcommands = await commandsOf(ctr, group.at(0));
        for (const command of subcommands.length === 0 ? [[]] : subcommands) {
          const name = [group[0], command[0]].join(' ').trim();
          if (name in elsewhere || name in untried) continue;
          const words = command.length === 0 ? '' : `.* (${command.join('|')})\\b`;
          const used = new RegExp(`(\\$[CD]|\\bctr\\(')( -\\S+)* ?(${group.join('|')})\\b${words}`);
          if (!lines.some((line) => used.test(line))) missing.push(name);
        }
      }
      assert.deepEqual(missing, []);
      for (const [command, file] of Object.entries(elsewhere))
        for (const word of command.split(' '))
          assert.ok(readFileSync(join(top, file), 'utf8').includes(`'${word}'`), `${file}: ${command}`);
    });
});

/** Names and short names of each command, or of each command of a group. */
async function commandsOf(ctr: string, group?: string): Promise<string[][]> {
  const help = await output(ctr, [...(group === undefined ? [] : [group]), '--help']);
  const listed = /^COMMANDS:\n((?:.+\n)+)/m.exec(`${help}\n\n`)?.[1] ?? '';
  const names = listed.split('\n').map((line) => line.trim().split(/ {2,}/)[0]?.split(', ') ?? []);
  return names.filter(([name]) => name !== 'help' && name !== undefined && name !== '');
}

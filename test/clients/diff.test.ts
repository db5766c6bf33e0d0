import { checkWithEach } from './table.ts';

const prepare = `P=$($C snapshots ls | awk '/^sha256.*Committed/{print $1}' | head -1);`;
const change =
  'mkdir -p m; m=$($C snapshots mounts $PWD/m d1); $m && echo new >m/root/new && rm m/etc/passwd && ln m/root/new m/tmp/link; umount m;';

checkWithEach({
  'snapshots diff of an active snapshot without changes is an empty layer': {
    line: `${prepare} $C snapshots prepare d1 $P && $C snapshots diff d1 | gzip -dc | sha256sum`,
    shows: '5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef -',
  },
  'snapshots diff shows what was added and deleted, with its parents': {
    line: `${change} $C snapshots diff d1 | tar -tzf -`,
    shows: 'etc/\netc/.wh.passwd\nroot/\nroot/new\ntmp/\ntmp/link',
  },
  'snapshots diff is the same bytes each time': {
    line: '$C snapshots diff d1 | sha256sum >one; $C snapshots diff d1 | sha256sum | cmp - one && echo same',
    shows: 'same',
  },
  'snapshots diff of two snapshots, in other media types': {
    line: `${prepare} for t in tar tar+zstd; do $C snapshots diff --media-type application/vnd.oci.image.layer.v1.$t $P d1 | zstd -dcfq | tar -tf - | wc -l; done`,
    shows: '6\n6',
  },
  'snapshots diff --keep leaves a blob that says what it is uncompressed': {
    line: `$C snapshots diff --keep --label a=b d1 | gzip -dc | sha256sum | cut -c1-64 >sum; $C content ls | grep a=b | grep -c "containerd.io/uncompressed=sha256:$(cat sum)"`,
    shows: '1',
  },
  'snapshots diff of a committed snapshot tells the same': {
    line: '$C snapshots commit d2 d1 && $C snapshots diff d2 | tar -tzf - | wc -l',
    shows: '6',
  },
  'snapshots diff of a base layer has everything': {
    line: `${prepare} $C snapshots diff $P | tar -tzf - | grep -c bin/`,
    shows: /^[1-9]\d*$/,
  },
  'snapshots diff of what is no layer type is refused': {
    line: '$C snapshots diff --media-type text/plain d2',
    shows: /unsupported diff media type: text\/plain: not implemented$/,
    status: 1,
  },
  'snapshots diff leaves nothing mounted and no ingest': {
    line: 'grep berth-mount- /proc/self/mountinfo | grep -c $PWD; $C content active | tail -n +2 | wc -l',
    shows: '0\n0',
  },
});

import { checkWithEach } from './table.ts';

const chain = 'sha256:[0-9a-f]{64}';
const base = "P=$($C snapshots ls | awk '/Committed/{print $1}' | head -1);";

checkWithEach({
  'snapshots ls and tree show the layer': {
    line: '$C snapshots ls; $C snapshots tree',
    shows: new RegExp(`^KEY PARENT KIND\n(${chain}) Committed\n \\1$`),
  },
  'snapshots info of a committed one': {
    line: `${base} $C snapshots info $P | grep -E 'Kind|Name|Created'`,
    shows: new RegExp(
      `^ "Kind": "Committed",\n "Name": "${chain}",\n "Created": "20.*Z",?$`.replace('^ ', '^'),
    ),
  },
  'snapshots prepare makes an active one': { line: `${base} $C snapshots prepare s1 $P`, shows: '' },
  'snapshots prepare of a taken key is refused': {
    line: `${base} $C snapshots prepare s1 $P`,
    shows: 'ctr: snapshot "s1": already exists',
    status: 1,
  },
  'snapshots prepare on an unknown parent is refused': {
    line: '$C snapshots prepare s2 nope',
    shows: 'ctr: parent snapshot nope does not exist: not found',
    status: 1,
  },
  'snapshots mounts shows an overlay, and it mounts': {
    line: 'm=$($C snapshots mounts $PWD/m s1); echo "$m" | cut -d" " -f1-4; mkdir -p m; $m && echo new > m/new && ls m | tr "\\n" " "; umount m',
    shows: 'mount -t overlay overlay\nbin etc new root tmp',
  },
  'snapshots usage counts what the active one holds': {
    line: '$C snapshots usage s1',
    shows: /^KEY SIZE INODES\ns1 8\.0 KiB 2$/,
  },
  'snapshots view is a read-only bind of one layer': {
    line: `${base} $C snapshots view --mounts v1 $P; $C snapshots rm v1 2>/dev/null || true`,
    shows:
      /"Type": "bind",\n "Source": ".*\/(fs|layers\/\d+)",\n( "Target": "",\n)? "Options": \[\n "ro",\n "rbind"\n \]/,
  },
  'snapshots usage of a view is nothing': {
    // Nothing holds a view that ctr makes: a collection that is under way may take it, as in containerd.
    line: `${base} for i in 1 2 3 4 5; do $C snapshots view v1 $P && $C snapshots usage -b v1 && break; done 2>/dev/null; $C snapshots rm v1 2>/dev/null || true`,
    shows: 'KEY SIZE INODES\nv1 0 0',
  },
  'snapshots label sets labels beside what is there': {
    line: '$C snapshots label s1 a=b >/dev/null; $C snapshots info s1 | grep -E \'"a"|gc.root|Active\'',
    shows: /^"Kind": "Active",\n "a": "b",\n "containerd.io\/gc.root": "20.*Z"$/,
  },
  'snapshots commit makes it a parent for others': {
    line: '$C snapshots commit s1c s1; $C snapshots prepare s4 s1c; $C snapshots tree',
    shows: new RegExp(`^${chain}\n \\\\_ s1c\n \\\\_ s4$`),
  },
  'snapshots commit of what is gone is refused': {
    line: '$C snapshots commit s1d s1',
    shows: 'ctr: snapshot s1 does not exist: not found',
    status: 1,
  },
  'snapshots rm of a parent is refused, of its child not': {
    line: '$C snapshots rm s1c; $C snapshots rm s4 s1c; $C snapshots ls | tail -n +2 | wc -l',
    shows: 'ctr: failed to remove "s1c": cannot remove snapshot with child: failed precondition\n1',
  },
  'snapshots rm of an unknown key says so': {
    line: '$C snapshots rm nope',
    shows: 'ctr: failed to remove "nope": snapshot nope does not exist: not found',
    status: 1,
  },
  'an unknown snapshotter says so': {
    line: '$C snapshots --snapshotter nope ls',
    shows: /snapshotter not loaded: nope: (invalid argument|not found)$/,
    status: 1,
  },
});

import { checkWithEach } from './table.ts';

/** Runs `ctr events` around a line; what it showed, without times, is left in the file `ev`. */
const watching = (line: string, filter = ''): string =>
  `$C events ${filter} > ev & w=$!; sleep 0.4; ${line}; sleep 0.4; kill $w; wait $w`;
const topics = "grep -oE ' /[a-z-]+/[a-z-]+ ' ev | tr -d ' ' | tr '\\n' ' '; rm ev";

checkWithEach({
  'version shows client and server': {
    line: '$C version | grep -E "^Client|^Server|Version"',
    shows: /Client:\n Version: .*\n( Go version: .*\n)?Server:\n Version: 2\.3\.4$/,
  },
  'plugins ls shows what clients look for, all in order': {
    line: "$C plugins ls | awk '{print $1, $2, $4}' | grep -E '(snapshotter.v1 overlayfs|content.v1 content|runtime.v2 task|differ.v1 walking|gc.v1 scheduler|transfer.v1 local) '",
    shows: /^(io\.containerd\.\S+ \S+ ok\n?){5,6}$/,
  },
  'info shows uuid and pid': {
    line: '$C info | grep -oE \'"(uuid|pid|pidns)"\' | tr "\\n" " "',
    shows: '"uuid" "pid" "pidns"',
    only: 'v2',
  },
  'oci spec makes a spec': { line: '$C oci spec | grep -c ociVersion', shows: '1' },
  'namespaces create, label, ls': {
    line: '$C ns create blue a=b; $C ns label blue c=d a=; $C ns ls | grep blue; $C ns create blue; $C ns rm blue',
    shows: 'blue c=d\nctr: namespace "blue": already exists\nblue',
  },
  'namespaces rm of one that is not empty is refused and says what is in it': {
    line: '$C ns rm $NS 2>&1 | tail -1',
    shows:
      /^ctr: unable to delete v\d+: namespace "v\d+" must be empty, but it still has images, blobs, snapshots on "overlayfs" snapshotter: failed precondition$/,
  },
  'a namespace that is no identifier is refused': {
    line: "$C -n 'bad/ns' images ls 2>&1 | tail -1",
    shows: /^ctr: failed to list images: .*"bad\/ns".*: invalid argument$/,
  },
  'leases create, ls, rm': {
    line: '$C leases create --id l1 --expires 1h; $C leases create --id l1; $C leases ls | tail -1; $C leases rm l1; $C leases rm l1; $C leases ls | wc -l',
    shows:
      /^l1\nctr: lease "l1": already exists\nl1 20\S+Z containerd\.io\/gc\.expire=20\S+Z\nl1\nctr: lease "l1": not found\n1$/,
  },
  'leases create without an id makes one': {
    line: 'l=$($C leases create) && $C leases rm $l | grep -c -- $l',
    shows: '1',
  },
  'events shows the life of a container': {
    line: `${watching('$C run --rm $IMG e true')}; ${topics}`,
    shows:
      '/snapshot/prepare /containers/create /tasks/create /tasks/start /tasks/exit /tasks/delete /snapshot/remove /containers/delete',
  },
  'events shows namespace and decoded body': {
    line: `${watching('$C images tag --force $IMG e.io/x:1 >/dev/null')}; sed -E 's/.*UTC //' ev; rm ev; $C images rm e.io/x:1 >/dev/null`,
    shows: /^v\d+ \/images\/create \{"name":"e\.io\/x:1"(,"labels":.*)?\}$/,
  },
  'events takes filters': {
    line: `${watching('$C run --rm $IMG e true', "'topic~=^/snapshot/'")}; ${topics}`,
    shows: '/snapshot/prepare /snapshot/remove',
  },
  'events of a filter that does not parse ends at once': {
    line: "$C events 'bad&&'",
    shows:
      /filters: parse error: \[bad >\|&\|< &\]: expected an operator \("=="\|"!="\|"~="\): invalid argument$/,
    status: 1,
  },
});

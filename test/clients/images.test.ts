import { checkWithEach } from './table.ts';

const digest = 'sha256:[0-9a-f]{64}';

checkWithEach(
  {
    'images pull over plain HTTP unpacks and shows progress': {
      line: '$C images pull --plain-http $IMG',
      shows:
        /unpacking linux\/amd64 sha256:[0-9a-f]{64}\.\.\.\ndone: |saved\n└──manifest (.*\n){2} └──layer .* extracted /,
      shows21: /saved\n└──manifest (.*\n){2} └──layer .* extracted\n/,
    },
    'images pull again finds everything here': {
      line: '$C images pull --plain-http $IMG | tail -8',
      shows: /(layer-sha256:\S+: (exists|done)|layer .*already exists)/,
    },
    'images ls shows reference, type, digest, size and platform': {
      line: '$C images ls',
      shows: new RegExp(
        `^REF TYPE DIGEST SIZE PLATFORMS LABELS\\n127\\.0\\.0\\.1:\\d+/busybox:latest application/vnd\\.docker\\.distribution\\.manifest\\.v2\\+json ${digest} 1\\.\\d MiB linux/amd64 -$`,
      ),
    },
    'images ls -q shows names': { line: '$C images ls -q', shows: '$IMG' },
    'images ls takes filters': { line: '$C images ls -q name==nope', shows: '' },
    'images check finds the image complete and unpacked': {
      line: '$C images check',
      shows: /complete \(2\/2\) 1\.\d MiB\/1\.\d MiB true$/,
    },
    'images tag makes a second name': { line: '$C images tag $IMG x.io/y:1', shows: 'x.io/y:1' },
    'images tag refuses a taken name without --force': {
      line: '$C images tag $IMG x.io/y:1',
      shows: 'ctr: image "x.io/y:1": already exists',
      status: 1,
      only: 'v1',
    },
    'images tag --force replaces': { line: '$C images tag --force $IMG x.io/y:1', shows: 'x.io/y:1' },
    'images tag of an unknown image says not found': {
      line: '$C images tag nope x.io/y:2',
      shows: 'ctr: image "nope": not found',
      status: 1,
    },
    'images label sets and shows labels': { line: '$C images label x.io/y:1 k=v', shows: 'k=v' },
    'images label of an unknown image says not found': {
      line: '$C images label nope k=v',
      shows: 'ctr: image "nope": not found',
      status: 1,
    },
    'images rm --sync removes one name and leaves the other': {
      line: '$C images rm --sync x.io/y:1 && $C images ls -q && $C images check | grep -c complete',
      shows: 'x.io/y:1\n$IMG\n1',
    },
    'images rm of an unknown image only warns': {
      line: '$C images rm nope',
      shows: /level=warning msg="nope: image not found"$/,
    },
    'images mount shows a read-only tree, unmount --rm takes mount and snapshot away': {
      line:
        'mkdir -p mnt; $C images mount $IMG $PWD/mnt >/dev/null; ls mnt | tr "\\n" " "; touch mnt/x; ' +
        '$C snapshots ls | grep -c View; $C images unmount --rm $PWD/mnt >/dev/null; $C snapshots ls | grep -c mnt; grep -c "$PWD/mnt" /proc/mounts',
      shows: "bin etc root tmp touch: cannot touch 'mnt/x': Read-only file system\n1\n0\n0",
      status: 1,
    },
    'images mount --rw takes writes and leaves the image as it was': {
      line:
        // Another place: the activation of the first one is only gone with the next collection, in containerd too.
        'mkdir -p rw; $C images mount --rw $IMG $PWD/rw >/dev/null; touch rw/x && $C images unmount --rm $PWD/rw >/dev/null; ' +
        '$C run --rm $IMG rw ls /x; $C snapshots ls | grep -c "$PWD/rw"',
      shows: 'ls: /x: No such file or directory\n0',
      status: 1,
    },
    'images export makes an archive, by the client itself or by Transfer': {
      line: '$C images export e.tar $IMG >/dev/null && tar tf e.tar | grep -c blobs/sha256/.; rm -f e.tar',
      shows: /^[34]$/,
    },
    'images usage adds up the layers': {
      line: '$C images usage $IMG',
      shows: new RegExp(`^KEY SIZE INODES\\n${digest} [12]\\.\\d MiB \\d+$`),
      only: 'v2',
    },
    'install of an unknown image says not found': {
      line: '$C install nope',
      shows: 'ctr: image "nope": not found',
      status: 1,
    },
    'images rm --sync of the last name takes content and snapshots away': {
      line: '$C images rm --sync $IMG; $C content ls -q; $C snapshots ls',
      shows: '$IMG\nKEY PARENT KIND',
    },
    'images pull after that fetches everything again': {
      line: '$C images pull --plain-http $IMG >/dev/null 2>&1 && $C run --rm $IMG again echo back',
      shows: 'back',
    },
  },
  { pull: false },
);

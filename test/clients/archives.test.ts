import { checkWithEach } from './table.ts';

const day = '\\d{4}-\\d\\d-\\d\\d';

checkWithEach({
  'images export writes an archive that skopeo reads, as OCI layout and as docker-archive': {
    line:
      '$C images export $PWD/a.tar $IMG >/dev/null && skopeo inspect oci-archive:a.tar --format "{{.Architecture}}" && ' +
      'skopeo inspect docker-archive:a.tar --format "{{.Os}}" && skopeo inspect docker-archive:a.tar --config --raw | grep -c rootfs',
    shows: 'amd64\nlinux\n1',
  },
  'images export of an unknown image says not found': {
    line: '$C images export $PWD/b.tar nope:1; s=$?; rm -f b.tar; exit $s',
    shows: /^ctr: image "nope:1": not found$/,
    status: 1,
  },
  'images import of it into another namespace unpacks and runs': {
    line:
      'D="$(echo $C | cut -d" " -f1-3) -n $NS-other"; $C images export $PWD/a.tar $IMG >/dev/null; $D images import $PWD/a.tar >/dev/null && $D images ls -q && ' +
      '$D run --rm $IMG t echo ran; $D images rm --sync $IMG',
    shows: '$IMG\nran\n$IMG',
  },
  'images import of an OCI archive with a bare tag puts a name before it': {
    line:
      'skopeo copy --src-tls-verify=false -q docker://$IMG oci-archive:$NS-o.tar:v7; $C images import --base-name x.io/box $PWD/$NS-o.tar >/dev/null && ' +
      '$C images ls -q name==x.io/box:v7 && $C images import --digests $PWD/$NS-o.tar >/dev/null && $C images ls -q | grep import',
    shows: new RegExp(`^x.io/box:v7\\nimport-${day}:v7(\\nimport-${day}@sha256:[0-9a-f]{64})?$`),
  },
  'images import of a docker-archive names it as Docker does': {
    line:
      'skopeo copy --src-tls-verify=false -q docker://$IMG docker-archive:$NS-d.tar:box:v1; $C images import $PWD/$NS-d.tar >/dev/null && ' +
      '$C images ls -q name==docker.io/library/box:v1 && $C run --rm docker.io/library/box:v1 t echo ran',
    shows: 'docker.io/library/box:v1\nran',
  },
  'images import --compress-blobs stores plain layers gzipped': {
    line:
      'skopeo copy --src-tls-verify=false -q --dest-decompress docker://$IMG docker-archive:$NS-e.tar:box:v2; $C images import --compress-blobs $PWD/$NS-e.tar >/dev/null && ' +
      '$C content get $($C images ls name==docker.io/library/box:v2 | grep -o sha256:[0-9a-f]*) | grep -o "tar.gzip"',
    shows: 'tar.gzip',
  },
  'images import of what is no archive says so': {
    line: 'head -c 5000 /dev/zero | tr "\\0" x >f.tar; $C images import $PWD/f.tar | tail -1',
    shows: /ctr: .*(archive|tar|layer)/,
  },
  'images import of a cut archive says so and leaves no image': {
    line: 'head -c 700000 a.tar >g.tar; $C images import $PWD/g.tar | tail -1; $C images ls -q | grep -c import-.*g',
    shows: /ctr: .*unexpected (end of archive|EOF)[^\n]*\n0$/,
    status: 1,
  },
});

#!/usr/bin/env bash
# Makes further images of what bench/image.sh made: the same layers in zstd ("zstd"), one layer of 17,000 small files
# ("files"), 60 small layers ("layers"). usage: variants.sh BIG DIR   leaves an OCI layout in DIR/NAME for each
set -euo pipefail
big=$1/oci dir=$2
[ -e "$dir/complete" ] && exit 0
rm -rf "$dir"
mkdir -p "$dir/tree"

digest() { sha256sum "$1" | cut -d' ' -f1; }

begin() { # NAME: a layout to add layers to
  layout=$dir/$1 name=$1 diff_ids=() descriptors=()
  mkdir -p "$layout/blobs/sha256"
}

keep() { # FILE: moves it among the blobs; sets sum and size
  sum=$(digest "$1") size=$(stat -c %s "$1")
  mv "$1" "$layout/blobs/sha256/$sum"
}

layer() { # TAR gzip|zstd
  diff_ids+=("\"sha256:$(digest "$1")\"")
  if [ "$2" = gzip ]; then gzip -n -6 -c "$1" >"$dir/blob"; else zstd -q -T0 -3 -c "$1" >"$dir/blob"; fi
  rm "$1"
  keep "$dir/blob"
  descriptors+=("{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+$2\",\"digest\":\"sha256:$sum\",\"size\":$size}")
}

join() { local IFS=,; echo "$*"; }

finish() {
  printf '{"architecture":"amd64","os":"linux","config":{"Cmd":["/bin/sh"]},"rootfs":{"type":"layers","diff_ids":[%s]}}' "$(join "${diff_ids[@]}")" >"$dir/json"
  keep "$dir/json"
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[%s]}' "$sum" "$size" "$(join "${descriptors[@]}")" >"$dir/json"
  keep "$dir/json"
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"%s"}}]}' "$sum" "$size" "$name" >"$layout/index.json"
  echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
}

manifest=$(jq -r '.manifests[0].digest' "$big/index.json")
mapfile -t blobs < <(jq -r '.layers[].digest' "$big/blobs/sha256/${manifest#sha256:}")

begin zstd
for blob in "${blobs[@]}"; do
  gzip -dc "$big/blobs/sha256/${blob#sha256:}" >"$dir/layer.tar"
  tar -xf "$dir/layer.tar" -C "$dir/tree" --keep-directory-symlink
  layer "$dir/layer.tar" zstd
done
finish

pack() { tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 -C "$dir/tree" -cf "$dir/layer.tar" -T "$1"; }
(cd "$dir/tree" && find . -type f -size -33k | LC_ALL=C sort | sed -n 1,17000p) >"$dir/list"

begin files
pack "$dir/list"
layer "$dir/layer.tar" gzip
finish

begin layers
split -n l/60 "$dir/list" "$dir/part."
for part in "$dir"/part.*; do pack "$part"; layer "$dir/layer.tar" gzip; done
finish

rm -rf "$dir/tree" "$dir/list" "$dir"/part.*
touch "$dir/complete"

#!/usr/bin/env bash
# Makes the image that pulls are measured with: six layers of Debian's packages, above 300 MB compressed.
# usage: image.sh DIR   leaves an OCI layout in DIR/oci with the tag "big"; does nothing when it is there
set -euo pipefail
dir=$1
[ -e "$dir/oci/complete" ] && exit 0
rm -rf "$dir"
mkdir -p "$dir/oci/blobs/sha256"
cd "$dir"

layers=(
  "bash coreutils libc6 libc-bin perl-base perl-modules-5.36 libperl5.36 dpkg apt libapt-pkg6.0 debianutils grep sed gawk tar gzip findutils tzdata libssl3 openssl ca-certificates"
  "gcc-12 g++-12 cpp-12 libgcc-12-dev libstdc++-12-dev binutils-common binutils-x86-64-linux-gnu libc6-dev linux-libc-dev make git git-man"
  "golang-1.19-go golang-1.19-src"
  "openjdk-17-jre-headless openjdk-17-jdk-headless"
  "libpython3.11-stdlib libpython3.11-minimal python3.11-minimal python3-numpy python3-django python3-setuptools python3-pip python3-wheel"
  "libllvm14 clang-14 libclang-common-14-dev libclang-cpp14"
)

blob() { # FILE: moves it among the blobs, prints its digest
  local sum; sum=$(sha256sum "$1" | cut -d' ' -f1)
  mv "$1" "oci/blobs/sha256/$sum"
  echo "$sum"
}

diff_ids=() descriptors=()
for packages in "${layers[@]}"; do
  mkdir debs root
  # shellcheck disable=SC2086
  (cd debs && apt-get download -qq -o APT::Sandbox::User=root $packages)
  for deb in debs/*.deb; do dpkg -x "$deb" root; done
  # The merged /usr that Debian's base-files would have made.
  for name in bin sbin lib lib64; do
    [ -d "root/$name" ] && [ ! -L "root/$name" ] && { mkdir -p "root/usr/$name"; cp -a "root/$name/." "root/usr/$name/"; rm -rf "root/${name:?}"; }
  done
  [ ${#diff_ids[@]} = 0 ] && for name in bin sbin lib lib64; do ln -sf "usr/$name" "root/$name"; done
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 -C root -cf layer.tar .
  diff_ids+=("\"sha256:$(sha256sum layer.tar | cut -d' ' -f1)\"")
  gzip -n -6 layer.tar
  size=$(stat -c %s layer.tar.gz)
  descriptors+=("{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"sha256:$(blob layer.tar.gz)\",\"size\":$size}")
  rm -rf debs root
done

join() { local IFS=,; echo "$*"; }
printf '{"architecture":"amd64","os":"linux","config":{"Cmd":["/bin/bash"],"Env":["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},"rootfs":{"type":"layers","diff_ids":[%s]}}' "$(join "${diff_ids[@]}")" >config
size=$(stat -c %s config)
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[%s]}' "$(blob config)" "$size" "$(join "${descriptors[@]}")" >manifest
size=$(stat -c %s manifest)
printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"big"}}]}' "$(blob manifest)" "$size" >oci/index.json
echo '{"imageLayoutVersion":"1.0.0"}' >oci/oci-layout
touch oci/complete

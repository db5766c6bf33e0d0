# Sourced by test: the third-party clients and peers that judge Berth, under $tools. They are never parts of it.

# ctr 1.6.20 of Debian bookworm, unpacked; nothing is installed or started.
need_ctr_debian() {
  [ -x "$tools/debian/usr/bin/ctr" ] && return
  say "unpacking Debian's containerd"
  mkdir -p "$tools/debian"
  local work; work=$(mktemp -d)
  (cd "$work" && { apt-get download -qq containerd 2>/dev/null || { apt-get update -qq && apt-get download -qq containerd; }; } && dpkg -x containerd_*.deb "$tools/debian")
  rm -rf "$work"
  rm -f "$tools/debian/lib/systemd/system/containerd.service"
}

# containerd, its shim and ctr 2.3.4 from Go modules; without Go, 2.1.9 from Debian sid.
need_containerd() {
  [ -x "$tools/containerd/ctr" ] && return
  mkdir -p "$tools/containerd"
  if command -v go >/dev/null; then need_containerd_from_go; else need_containerd_from_sid; fi
}

need_containerd_from_go() {
  say "building containerd 2.3.4 (a peer to measure against)"
  local work; work=$(mktemp -d)
  cp "$top/test/referees/go.mod" "$top/test/referees/go.sum" "$work/"
  (cd "$work" && GOFLAGS=-mod=mod CGO_ENABLED=0 go build -o "$work/out/" \
    github.com/containerd/containerd/v2/cmd/{ctr,containerd,containerd-shim-runc-v2}) >&2 || die "go build of containerd failed"
  mv "$work"/out/{containerd,containerd-shim-runc-v2} "$tools/containerd/"
  mv "$work/out/ctr" "$tools/containerd/ctr"
  rm -rf "$work"
}

need_containerd_from_sid() {
  say "unpacking containerd 2.1 of Debian sid (there is no Go here)"
  need_packages debootstrap
  local root=$tools/sid
  [ -x "$root/usr/bin/ctr" ] || { rm -rf "$root"; debootstrap --variant=minbase --include=containerd sid "$root" >&2; }
  cp "$root"/usr/bin/{containerd,containerd-shim-runc-v2} "$tools/containerd/"
  cp "$root/usr/bin/ctr" "$tools/containerd/ctr"
}

# unpack_sid DIR PACKAGE PROGRAM…: a package of Debian sid and what it wants, unpacked in DIR/root; DIR/bin has its programs,
# run with their own libc by its own loader, so that they run on an older Debian.
unpack_sid() {
  local dir=$1 package=$2 work root=$1/root name; shift 2
  say "unpacking Debian sid's $package"
  work=$(mktemp -d)
  mkdir -p "$work"/{lists,cache/archives} "$root" "$dir/bin"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main" >"$work/sources.list"
  touch "$work/status"
  local apt=(apt-get -qq -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$work/lists"
    -o "Dir::State::Status=$work/status" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false)
  "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends --download-only "$package" >&2 ||
    die "apt-get could not download $package of sid"
  for name in "$work"/cache/archives/*.deb; do dpkg -x "$name" "$root"; done
  rm -rf "$work"
  local loader; loader=$(echo "$root"/usr/lib/*/ld-linux-*.so.*)
  for name in "$@"; do
    printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' "$loader" "$(dirname "$loader")" "$(echo "$root"/usr/*bin/"$name")" >"$dir/bin/$name"
    chmod +x "$dir/bin/$name"
  done
}

# erofs-utils 1.9: bookworm's knows no 512-byte blocks.
need_erofs_utils() {
  [ -x "$tools/erofs/bin/fsck.erofs" ] || unpack_sid "$tools/erofs" erofs-utils fsck.erofs dump.erofs mkfs.erofs
}

# criu 4: bookworm has none.
need_criu() {
  [ -x "$tools/criu/bin/criu" ] || unpack_sid "$tools/criu" criu criu
}

# A snapshotter of others that runs images before their layers are here.
need_soci() {
  need_packages fuse3
  [ -x "$tools/soci/bin/soci" ] || unpack_sid "$tools/soci" soci-snapshotter soci soci-snapshotter-grpc
}

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

# ctr 2.1.9 of Debian sid, unpacked: it runs on bookworm as it is.
need_ctr_sid() {
  [ -x "$tools/sid/usr/bin/ctr" ] && return
  say "unpacking Debian sid's ctr"
  local work; work=$(mktemp -d)
  sid_apt "$work"
  (cd "$work" && "${sid_apt_get[@]}" download containerd && dpkg -x containerd_*.deb root) >&2 || die "apt-get could not download containerd of sid"
  mkdir -p "$tools/sid/usr/bin"
  mv "$work/root/usr/bin/ctr" "$tools/sid/usr/bin/"
  rm -rf "$work"
}

# Go 1.26 or later: the machine's own, or Debian sid's, unpacked.
need_go() {
  [[ "$(go version 2>/dev/null)" =~ go1\.(2[6-9]|[3-9][0-9]) ]] && return
  [ -x "$tools/go/bin/go" ] || unpack_sid "$tools/go" golang-go go
  PATH=$(echo "$tools"/go/root/usr/lib/go-*/bin):$PATH
}

# containerd, its shim and ctr 2.3.4.
need_containerd() {
  [ -x "$tools/containerd/ctr" ] ||
    CGO_ENABLED=0 build_go . containerd github.com/containerd/containerd/v2/cmd/{ctr,containerd,containerd-shim-runc-v2}
}

# build_go PINS DIR ARGUMENT…: what go build makes of the module in test/referees/PINS, whole in $tools/DIR or not at all.
build_go() {
  local pins=$top/test/referees/$1 dir=$tools/$2 work; shift 2
  need_go
  say "building $(basename "$dir")"
  work=$(mktemp -d)
  find "$pins" -maxdepth 1 -type f -name '*go*' -exec cp -t "$work" {} +
  mkdir -p "$dir.new"
  (cd "$work" && GOFLAGS=-mod=mod nice -n 10 go build -o "$dir.new/" "$@") >&2 || die "go build of $(basename "$dir") failed"
  rm -rf "$dir" "$work"
  mv "$dir.new" "$dir"
}

# buildkitd and buildctl 0.32.0.
need_buildkit() {
  [ -x "$tools/buildkit/buildctl" ] || CGO_ENABLED=0 build_go buildkit buildkit github.com/moby/buildkit/cmd/{buildkitd,buildctl}
}

# The stargz snapshotter's library 0.18.2 behind a socket.
need_stargz() {
  need_packages fuse3
  [ -x "$tools/stargz/stargz" ] || CGO_ENABLED=0 build_go stargz stargz .
}

# nerdctl 2.2.1, without the helpers of its tests: what those need is in no proxy.
need_nerdctl() {
  need_packages containernetworking-plugins iptables
  [ -x "$tools/nerdctl/nerdctl" ] && return
  need_go
  say "building nerdctl"
  local work; work=$(mktemp -d)
  cp "$top"/test/referees/nerdctl/go.{mod,sum} "$work"
  (
    cd "$work"
    module=github.com/containerd/nerdctl
    go mod download "$module/v2" && cp -r "$(go list -m -f '{{.Dir}}' "$module/v2")" nerdctl || exit
    chmod -R u+w nerdctl && cd nerdctl
    rm cmd/nerdctl/helpers/testing*.go
    mkdir -p mod/tigron && echo "module $module/mod/tigron" >mod/tigron/go.mod
    CGO_ENABLED=0 nice -n 10 go build -o "$work/new/" ./cmd/nerdctl
  ) >&2 || die "go build of nerdctl failed"
  rm -rf "$tools/nerdctl"
  mv "$work/new" "$tools/nerdctl"
  chmod -R u+w "$work"; rm -rf "$work"
}

# gVisor's OCI runtime.
need_runsc() {
  [ -x "$tools/gvisor/runsc" ] || CGO_ENABLED=0 build_go gvisor gvisor gvisor.dev/gvisor/runsc
}

# runc 1.3.3, which Debian bookworm has not.
need_runc_133() {
  [ -x "$tools/runc/runc" ] && return
  need_packages gcc libc6-dev pkg-config libseccomp-dev
  CGO_ENABLED=1 build_go runc runc -tags seccomp,netgo,osusergo -ldflags "-extldflags -static" github.com/opencontainers/runc
}

# sid_apt DIR: apt-get for Debian sid with state of its own in DIR, into the array sid_apt_get. Nothing of the host's is touched.
sid_apt() {
  mkdir -p "$1"/{lists,cache/archives}
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main" >"$1/sources.list"
  touch "$1/status"
  sid_apt_get=(apt-get -qq -o "Dir::Etc::SourceList=$1/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$1/lists"
    -o "Dir::State::Status=$1/status" -o "Dir::Cache=$1/cache" -o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false)
  "${sid_apt_get[@]}" update || die "apt-get could not read the lists of Debian sid"
}

# unpack_sid DIR PACKAGES PROGRAM…: packages of Debian sid and what they want, unpacked in DIR/root; DIR/bin has its programs,
# run with their own libc by its own loader, so that they run on an older Debian.
unpack_sid() {
  local dir=$1 packages=$2 work root=$1/root name; shift 2
  say "unpacking Debian sid's $packages"
  work=$(mktemp -d)
  mkdir -p "$root" "$dir/bin"
  sid_apt "$work"
  # shellcheck disable=SC2086 # there may be several
  "${sid_apt_get[@]}" install -y --no-install-recommends --download-only $packages >&2 ||
    die "apt-get could not download $packages of sid"
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

# crun 1.28, which knows the specification that ctr writes and criu: bookworm's 1.8 knows neither.
need_crun() {
  [ -x "$tools/crun/bin/crun" ] || unpack_sid "$tools/crun" 'crun libcriu2' crun
}

# A snapshotter of others that runs images before their layers are here.
need_soci() {
  need_packages fuse3
  [ -x "$tools/soci/bin/soci" ] || unpack_sid "$tools/soci" soci-snapshotter soci soci-snapshotter-grpc
}

# Docker Engine of Debian sid (28.5.2, with buildx, compose and tini) and of bookworm (20.10.24), unpacked; nothing is started.
need_docker() {
  need_packages iptables libdevmapper1.02.1
  [ -x "$tools/docker/28/usr/sbin/dockerd" ] || unpack_docker 28 docker.io docker-cli docker-buildx docker-compose tini-static
  [ -x "$tools/docker/20/usr/sbin/dockerd" ] || unpack_docker 20 docker.io
}

# unpack_docker GENERATION PACKAGE…: they run on bookworm as they are.
unpack_docker() {
  local into=$tools/docker/$1 work name; shift
  say "unpacking Docker ${into##*/}"
  work=$(mktemp -d)
  local get=(apt-get -qq -o APT::Sandbox::User=root)
  if [ "${into##*/}" = 20 ]; then apt-get update -qq; else sid_apt "$work"; get=("${sid_apt_get[@]}"); fi
  mkdir -p "$work/debs" "$work/root" "$tools/docker"
  (cd "$work/debs" && "${get[@]}" download "$@") >&2 || die "apt-get could not download $*"
  for name in "$work"/debs/*.deb; do dpkg -x "$name" "$work/root"; done
  # They are peers of the tests, never parts of the host.
  rm -rf "$work"/root/{etc,lib,var,usr/lib,usr/share} "$into"
  mv "$work/root" "$into"
  rm -rf "$work"
}

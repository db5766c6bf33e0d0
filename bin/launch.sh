# Sourced by berth, berthd and berth-shim: finds Node and the program.
# Reads $program (folder under src/ or dist/) and $oldest (first Node major that runs the published package);
# sets $node and $main.
set -eu
top=$(dirname "$(dirname "$(readlink -f "$0")")")

# A checkout runs its TypeScript as it is; the published package holds emitted JavaScript.
if [ -f "$top/src/$program/main.ts" ]; then
  main=$top/src/$program/main.ts oldest=26
else
  main=$top/dist/$program/main.js
fi

find_node() {
  case $(uname -m) in aarch64) arch=arm64 ;; *) arch=x64 ;; esac
  for node in "$top/node_modules/node-linux-$arch/bin/node" "$top/../node-linux-$arch/bin/node"; do
    [ -x "$node" ] && return
  done
  node=${BERTH_NODE:-$(command -v node || true)}
  [ -n "$node" ] && [ "$("$node" -p 'process.versions.node.split(".")[0]')" -ge "$oldest" ] && return
  echo "${0##*/}: needs Node $oldest or newer: run 'npm install' in $top, or set BERTH_NODE to its path" >&2
  exit 127
}
find_node

# Compiled code is kept between starts, where only this user can write.
if [ -z "${NODE_COMPILE_CACHE:-}" ]; then
  if [ "$(id -u)" = 0 ]; then cache=/var/cache; else cache=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}; fi
  export NODE_COMPILE_CACHE="$cache/berth/compile"
fi

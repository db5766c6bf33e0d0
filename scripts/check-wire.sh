#!/bin/sh
# Holds proto/ against the facts in ../shared, where those are present.
set -eu
cd "$(dirname "$0")/.."
check=../shared/tools/check-wire.mjs
[ -f "$check" ] || { echo "no $check here: nothing to compare with"; exit 0; }
image=$(mktemp --suffix=.json)
trap 'rm -f "$image"' EXIT
buf build -o "$image"
node "$check" "$image"

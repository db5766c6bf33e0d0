#!/bin/sh
# Fails when src/gen is not what `npm run gen` makes of proto/.
set -eu
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
buf generate --output "$fresh"
diff -r "$fresh/src/gen" src/gen || { echo "src/gen is out of date: run 'npm run gen'" >&2; exit 1; }

#!/bin/sh
# Writes the reference of berth/client, docs/client.md, from its types and comments; with --check, fails when it is not up to date.
# TypeDoc needs the compiler as a library, which TypeScript 7 is not: it is run with one of its own, outside of our dependencies.
set -eu
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
npm exec --yes --loglevel=error --package=typedoc@0.28.20 --package=typescript@6.0.3 --package=typedoc-plugin-markdown@4.14.1 -- \
  typedoc --logLevel Error --out "$fresh"
if [ "${1:-}" = --check ]; then
  diff "$fresh/README.md" docs/client.md || { echo "docs/client.md is out of date: run 'npm run reference'" >&2; exit 1; }
else
  cp "$fresh/README.md" docs/client.md
fi

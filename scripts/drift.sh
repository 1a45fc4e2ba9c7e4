#!/usr/bin/env bash
# Generates everything again and fails if a file changed, appeared or went away. It compares files, not commits, so
# that it tells the truth in a working tree with changes too.
set -euo pipefail

cd "$(dirname "$0")/.."

fingerprint() {
  {
    grep -rlE --include='*.go' --exclude-dir='.?*' '^// Code generated .* DO NOT EDIT\.$' . || true
    [ ! -e docs/compat.md ] || echo ./docs/compat.md
  } | sort | xargs -r sha256sum
}

before="$(mktemp)"
after="$(mktemp)"
trap 'rm -f "$before" "$after"' EXIT
fingerprint >"$before"
[ -s "$before" ] || { echo "verify: no generated files found, which cannot be"; exit 1; }
make generate
fingerprint >"$after"

if ! changed="$(diff "$before" "$after")"; then
  echo "verify: these generated files were not up to date; they are now, commit them:"
  awk '/^[<>]/ { print "  " $3 }' <<<"$changed" | sort -u
  exit 1
fi

#!/usr/bin/env bash
# Runs every fuzz target in the tree for FUZZTIME, one after the other: `go test -fuzz` takes one at a time.
set -euo pipefail

cd "$(dirname "$0")/.."
FUZZTIME="${FUZZTIME:-20s}"

grep -rnoE --include='*_test.go' --exclude-dir='.?*' --exclude-dir=testdata '^func Fuzz[A-Za-z0-9_]+' . |
  sed -E 's/^(.*)\/[^/]+:[0-9]+:func (.*)$/\1 \2/' | sort -u |
  while read -r dir target; do
    echo "fuzz: $dir $target for $FUZZTIME"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" "$dir" </dev/null
  done

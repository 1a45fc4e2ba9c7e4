#!/usr/bin/env bash
# Runs every fuzz target in the tree for FUZZTIME, FUZZJOBS at a time; `go test -fuzz` itself takes one. Fails if any
# does, after all have run, and prints what the failing ones said and the inputs they found. An argument keeps to the
# targets whose directory and name it matches: scripts/fuzz.sh 'sigv4 FuzzChunks'.
set -euo pipefail

cd "$(dirname "$0")/.."
export FUZZTIME="${FUZZTIME:-20s}"
jobs="${FUZZJOBS:-2}"
# The CPUs are shared out, so that two targets do not take each other's time.
FUZZWORKERS=$((($(nproc) + jobs - 1) / jobs))
FUZZLOGS="$(mktemp -d)"
export FUZZWORKERS FUZZLOGS
trap 'rm -rf "$FUZZLOGS"' EXIT

# Whether a log is of golang.org/issue/75804 (mended in Go 1.27): the end of -fuzztime itself reported as a failure, now
# and then, with no input that failed and nothing else said.
raced() {
  ! grep -q 'testdata/fuzz/' "$1" && [ "$(grep -A 1 '^--- FAIL' "$1" | tail -n 1 | xargs)" = 'context deadline exceeded' ]
}

fuzz() {
  local dir="$1" target="$2" log input
  log="$FUZZLOGS/${dir//\//_}.$target"
  # An input is made smaller for a few seconds only: the minute that Go takes by default is longer than all the rest.
  # The second try is for raced.
  for _ in 1 2; do
    if go test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 5s -parallel "$FUZZWORKERS" "$dir" \
      </dev/null >"$log" 2>&1; then
      echo "fuzz: $dir $target: $(grep -o 'execs: [0-9]*' "$log" | tail -n 1 || true)"
      return
    fi
    raced "$log" || break
    echo "fuzz: $dir $target: Go took its own deadline for a failure: once more"
  done
  {
    echo "fuzz: $dir $target FAILED"
    cat "$log"
    for input in $(grep -o 'testdata/fuzz/[^ ]*' "$log" | sort -u); do
      if [ -f "$dir/$input" ]; then
        echo "-- $dir/$input"
        cat "$dir/$input"
      fi
    done
  } >"$log.failed"
  cat "$log.failed"
  return 1
}
export -f fuzz raced

targets="$(grep -rnoE --include='*_test.go' --exclude-dir='.?*' --exclude-dir=testdata '^func Fuzz[A-Za-z0-9_]+\(f \*testing\.F\)' . |
  sed -E 's/^(.*)\/[^/]+:[0-9]+:func ([A-Za-z0-9_]+).*$/\1 \2/' | sort -u)"
targets="$(grep -E -- "${1:-}" <<<"$targets")"
count="$(wc -l <<<"$targets")"
echo "fuzz: $count targets for $FUZZTIME each, $jobs at a time"
begun=$SECONDS
if ! xargs -P "$jobs" -L 1 bash -c 'fuzz "$@"' fuzz <<<"$targets"; then
  echo "fuzz: failed:"
  find "$FUZZLOGS" -name '*.failed' -exec basename {} .failed \;
  exit 1
fi
echo "fuzz: $count targets in $((SECONDS - begun)) s"

#!/usr/bin/env bash
# Installs the clients that e2e sends through its scenario into .tools/clients, each from its pinned list, and once:
# a mark remembers what was installed. One whose toolchain is missing is left out, and its test says so.
set -euo pipefail

cd "$(dirname "$0")/.."
SOURCES="$PWD/e2e/clients"
CLIENTS="$PWD/.tools/clients"

say() { echo "clients: $*"; }

# once NAME COMMANDS: runs install_NAME in an empty directory unless it was done for these sources and tools.
once() {
  local name=$1 command
  shift
  for command in "$@"; do
    command -v "$command" >/dev/null || { say "$name is left out: there is no $command"; return; }
  done
  local target="$CLIENTS/$name" mark
  mark="$({ cd "$SOURCES/$name" && find . -type f | sort | xargs sha256sum; "$1" --version; } 2>&1 | sha256sum)"
  [ "$(cat "$target/done" 2>/dev/null)" != "$mark" ] || return 0
  say "installing $name"
  rm -rf "$target"
  mkdir -p "$target"
  if (cd "$target" && "install_${name//-/_}" "$SOURCES/$name"); then
    echo "$mark" >"$target/done"
  elif [ "${CI:-}" = true ]; then
    exit 1
  else
    say "$name could not be installed, so its test will not run"
  fi
}

install_boto3() {
  python3 -m venv . &&
    bin/pip install --quiet --disable-pip-version-check --no-deps -r "$1/requirements.txt"
}

# Nothing that a package wants to run at its installation is run.
install_node() {
  cp "$1/package.json" "$1/package-lock.json" . &&
    npm ci --silent --ignore-scripts --no-audit --no-fund
}
install_js_v2() { install_node "$1"; }
install_js_v3() { install_node "$1"; }

install_java() {
  mvn --quiet --batch-mode -Dstyle.color=never --file "$1/pom.xml" -Dtarget="$PWD" package
}

once boto3 python3
once js-v3 node npm
once js-v2 node npm
once java javac java mvn

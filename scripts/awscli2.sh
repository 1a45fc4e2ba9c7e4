#!/usr/bin/env bash
# Unpacks Debian's AWS CLI into .tools/awscli2, beside whatever other is on PATH: aws logs tail is a command of version 2
# alone, which PyPI does not have. Where that cannot be done, the test that wants it says so.
set -euo pipefail

cd "$(dirname "$0")/.."
mkdir -p .tools
target="$(cd .tools && pwd -P)/awscli2"
[ ! -x "$target/aws" ] && [ -x /usr/bin/python3 ] && command -v apt-get >/dev/null && command -v dpkg >/dev/null || exit 0

[ "$(id -u)" != 0 ] || apt-get update -qq
packages="$(apt-get install -s --no-install-recommends awscli 2>/dev/null | awk '/^Inst/ {print $2}')" || exit 0
[ -n "$packages" ] || exit 0
echo "deps: unpacking Debian's AWS CLI into .tools/awscli2"
unpacked="$(mktemp -d)"
trap 'rm -rf "$unpacked"' EXIT
# shellcheck disable=SC2086 # a list
if ! (cd "$unpacked" && apt-get download -qq $packages >/dev/null 2>&1); then
  echo "deps: apt-get cannot download it"
  exit 0
fi
mkdir -p "$target/root"
for package in "$unpacked"/*.deb; do dpkg -x "$package" "$target/root"; done
cat >"$target/aws" <<'SH'
#!/bin/sh
root="$(dirname "$(readlink -f "$0")")/root"
PYTHONPATH="$root/usr/lib/python3/dist-packages" exec /usr/bin/python3 "$root/usr/bin/aws" "$@"
SH
chmod +x "$target/aws"

#!/usr/bin/env bash
# Installs what the tests need and this machine lacks, through apt-get, pip, npm and Maven, and says so. What is there
# stays as it is: any Python 3, any Node.js, any AWS CLI, any JDK.
set -euo pipefail

cd "$(dirname "$0")/.."
AWSCLI_VERSION=1.45.11
# AWS's own runtime interface clients, which the bootstraps are compared with.
PYTHON_RIC_VERSION=4.2.2
NODE_RIC_VERSION=3.3.0
VENV="$PWD/.tools/venv"
export PATH="$VENV/bin:$PATH"

say() { echo "deps: $*"; }

# need COMMAND PACKAGE...: remembers the packages if the command is missing.
missing=()
need() {
  local command=$1
  shift
  command -v "$command" >/dev/null || missing+=("$@")
}

need go golang-is-missing
if [ ${#missing[@]} -gt 0 ]; then
  say "Go is not on PATH; go.mod says which version (https://go.dev/dl)"
  exit 1
fi

need make make
need git git
need gcc gcc libc6-dev
need python3 python3 python3-venv
need node nodejs
need mkfs.ext4 e2fsprogs
need newuidmap uidmap
need curl curl
need dig bind9-dnsutils
need zip zip
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
# Debian keeps the part of Python that makes venvs in a package of its own.
if command -v python3 >/dev/null && ! python3 -c 'import ensurepip' 2>/dev/null; then
  missing+=(python3-venv)
fi

# What only clients of e2e are made of: root installs it, anybody else can do without.
if [ "$(id -u)" = 0 ]; then
  need npm npm
  need mvn maven
  need javac default-jdk-headless
fi

# OCI runtimes for the oci driver's tests, as root, where the distribution has them.
optional=()
if [ "$(id -u)" = 0 ]; then
  for runtime in runc runsc; do
    command -v "$runtime" >/dev/null || optional+=("$runtime")
  done
fi
if [ ${#optional[@]} -gt 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  for runtime in "${optional[@]}"; do
    if apt-cache show "$runtime" >/dev/null 2>&1; then
      missing+=("$runtime")
    else
      say "no package of $runtime here: the tests of sandbox/oci skip it"
    fi
  done
fi

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "please install: ${missing[*]}"
    exit 1
  fi
  say "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! command -v aws >/dev/null; then
  say "installing the AWS CLI $AWSCLI_VERSION into .tools/venv"
  python3 -m venv "$VENV"
  "$VENV/bin/pip" install --quiet --disable-pip-version-check "awscli==$AWSCLI_VERSION"
fi

if [ ! -e .tools/ric-python/lib ]; then
  say "installing awslambdaric $PYTHON_RIC_VERSION into .tools/ric-python"
  python3 -m venv .tools/ric-python
  # Where there is no wheel for this Python, and none can be built, the comparison is skipped.
  .tools/ric-python/bin/pip install --quiet --disable-pip-version-check --only-binary :all: \
    "awslambdaric==$PYTHON_RIC_VERSION" || rm -rf .tools/ric-python
fi
if [ ! -e .tools/ric-node/node_modules ] && command -v npm >/dev/null; then
  say "installing aws-lambda-ric $NODE_RIC_VERSION into .tools/ric-node"
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix .tools/ric-node "aws-lambda-ric@$NODE_RIC_VERSION" ||
    rm -rf .tools/ric-node
fi

scripts/awscli2.sh
scripts/clients.sh

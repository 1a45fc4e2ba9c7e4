#!/usr/bin/env bash
# Prints the directory that holds AWS's service models as models/<service>/service-2.json: HOTARU_AWS_DATA if it is
# set, ../shared/aws if it is there, else a pinned botocore's from PyPI, unpacked once into .tools.
set -euo pipefail

cd "$(dirname "$0")/.."
BOTOCORE=1.43.67
SHA256=48ab8e9fac26fbc2a700d57010251003e6a5f731cf74d8540fb796bc8f3fc0ef

for data in "${HOTARU_AWS_DATA:-}" "$PWD/../shared/aws"; do
  if [ -n "$data" ] && [ -d "$data/models" ]; then
    (cd "$data" && pwd)
    exit
  fi
done

into="$PWD/.tools/botocore-$BOTOCORE"
if [ ! -d "$into/models" ]; then
  echo "models: fetching botocore $BOTOCORE" >&2
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps -d "$work" "botocore==$BOTOCORE"
  wheel="$work/botocore-$BOTOCORE-py3-none-any.whl"
  echo "$SHA256  $wheel" | sha256sum --check --quiet >&2
  python3 - "$wheel" "$work/models" <<'PYTHON'
"""Keep each service's newest model, where the generator looks for it."""
import gzip, pathlib, sys, zipfile

wheel, target = sys.argv[1], pathlib.Path(sys.argv[2])
newest = {}
with zipfile.ZipFile(wheel) as archive:
    for name in sorted(archive.namelist()):
        parts = name.split("/")
        if parts[:2] == ["botocore", "data"] and parts[-1] == "service-2.json.gz":
            newest[parts[2]] = name
    for service, name in newest.items():
        model = target / service / "service-2.json"
        model.parent.mkdir(parents=True)
        model.write_bytes(gzip.decompress(archive.read(name)))
PYTHON
  mkdir -p "$into"
  mv "$work/models" "$into/models"
fi
echo "$into"

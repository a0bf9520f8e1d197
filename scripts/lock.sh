#!/bin/sh
# Resolve pyproject.toml anew into requirements.lock, with hashes, for Python 3.11 and 3.12.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
.venv/bin/python -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check uv
"$folder/venv/bin/uv" pip compile pyproject.toml --group dev --quiet --universal --python-version 3.11 \
    --generate-hashes --no-header --no-annotate --no-emit-index-url -o requirements.lock

#!/bin/sh
# Make .venv from the locked requirements. Says the one command to type when something is missing.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/.complete
if [ -f "$stamp" ] && [ "$stamp" -nt requirements.lock ] && [ "$stamp" -nt pyproject.toml ]; then exit 0; fi

find_python() {
    for name in "${PYTHON:-}" python3.11 python3.12 python3 "$HOME"/.pyenv/versions/3.1[12].*/bin/python3; do
        [ -n "$name" ] || continue
        path=$(command -v "$name" 2>/dev/null) || continue
        "$path" -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 12)))' 2>/dev/null || continue
        echo "$path"
        return 0
    done
    return 1
}
python=$(find_python) || {
    echo "setup: Python 3.11 or 3.12 not found (plyvel has no wheel for newer ones)." >&2
    echo "setup: on Debian 12 type: apt-get install -y python3 python3-venv; elsewhere: make PYTHON=/path/to/python3.12" >&2
    exit 1
}
"$python" -c 'import ensurepip, venv' 2>/dev/null || {
    echo "setup: $python cannot make virtual environments." >&2
    echo "setup: type: apt-get install -y python3-venv" >&2
    exit 1
}
echo "setup: $("$python" --version) at $python"
if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    rm -rf .venv
    "$python" -m venv .venv
fi
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-input --require-hashes --only-binary :all: -r requirements.lock
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-input --no-build-isolation --no-deps -e .
touch "$stamp"
echo "setup: ready: .venv/bin/munimentd and .venv/bin/muniment"

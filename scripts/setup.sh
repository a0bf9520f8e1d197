#!/bin/sh
# Make .venv from the locked requirements. Says the one command to type when something is missing.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/.complete
if [ -f "$stamp" ] && [ "$stamp" -nt requirements.lock ] && [ "$stamp" -nt pyproject.toml ]; then exit 0; fi

say() { echo "setup: $*" >&2; }
version() { "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null; }
makes_environments() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

python="" # the first that fits and makes virtual environments
maker=""  # any that makes them, of whatever version
found=""  # what to say of the others when none fits
newline='
'
tried=:
for name in "${PYTHON:-}" python3.11 python3.12 python3 "$HOME"/.pyenv/versions/3.1[12].*/bin/python3; do
    [ -n "$name" ] || continue
    path=$(command -v "$name" 2>/dev/null) || path=$name
    case $tried in *:"$path":*) continue ;; esac
    tried=$tried$path:
    has=$(version "$path") || has=""
    able=""
    if [ -n "$has" ] && makes_environments "$path"; then able=yes maker=${maker:-$path}; fi
    case $has in
        3.11.* | 3.12.*) why="cannot make virtual environments" ;;
        "") why="is no Python that runs here" ;;
        *) why="is not 3.11 or 3.12" able="" ;;
    esac
    if [ -n "$able" ]; then
        python=$path
        break
    fi
    if [ "$name" = "${PYTHON:-}" ]; then
        say "PYTHON=$name${has:+, Python $has,} $why"
    elif [ -n "$has" ]; then
        found="${found}setup: found Python $has at $path: it $why$newline"
    fi
done

# The one command that helps on this machine.
remedy() {
    system=$(. "${OS_RELEASE:-/etc/os-release}" 2>/dev/null && echo "${ID:-}-${VERSION_ID:-}") || system=""
    get='python install -q 3.12 && make setup PYTHON="$('
    find='python find --managed-python 3.12)"'
    case $system in
        debian-12 | ubuntu-24.04) say "type as root: apt-get update && apt-get install -y python3-venv" ;;
        *) if [ -n "$maker" ]; then
            say "type: $maker -m venv .uv && .uv/bin/pip install uv && .uv/bin/uv $get.uv/bin/uv $find"
        else
            say "install uv (https://docs.astral.sh/uv) and type: uv $get""uv $find"
        fi ;;
    esac
}

if [ -z "$python" ]; then
    printf %s "${found:-setup: found no ${PYTHON:+other }Python$newline}" >&2
    say "want Python 3.11 or 3.12 (plyvel has no wheel for newer ones) with venv"
    remedy
    exit 1
fi
echo "setup: $("$python" --version) at $python"
if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    rm -rf .venv
    "$python" -m venv .venv
fi
# The lock is whole, so nothing is resolved: pip 23.0 (Debian 12) takes "coverage[toml]" for a package
# of its own, finds a release newer than the lock's, and refuses it for want of a hash.
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-input --no-deps --require-hashes --only-binary :all: -r requirements.lock || {
    say "pip could not fetch the locked packages; is a package index reachable? (PIP_INDEX_URL, PIP_CERT)"
    exit 1
}
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-input --no-build-isolation --no-deps -e .
lacking=$(.venv/bin/python -m pip check --disable-pip-version-check 2>&1) || {
    echo "$lacking" >&2
    say "requirements.lock does not fit pyproject.toml; type: make lock"
    exit 1
}
touch "$stamp"
echo "setup: ready: .venv/bin/munimentd and .venv/bin/muniment"

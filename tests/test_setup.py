"""What a stranger is told on the way in: make help, scripts/setup.sh, scripts/debian.sh."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = ("dirname", "rm", "touch", "mkdir", "cp", "chmod", "cat")
APT = "setup: type as root: apt-get update && apt-get install -y python3-venv\n"
DEBIAN = 'ID=debian\nVERSION_ID="12"\n'

PYTHON = """#!/bin/sh
case "$*" in
    *version_info*) echo {version} ;;
    *ensurepip*) exit {venv} ;;
    --version) echo "Python {version}" ;;
    "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *"-r requirements.lock"*) exit {pip} ;;
esac
"""


class Machine:
    """A clone on a machine that has only what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.clone, self.bin, self.release = folder / "clone", folder / "bin", folder / "release"
        (self.clone / "scripts").mkdir(parents=True)
        self.bin.mkdir()
        for name in ("setup.sh", "debian.sh"):
            shutil.copy(ROOT / "scripts" / name, self.clone / "scripts" / name)
        for name in ("requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, self.clone / name)
        for tool in TOOLS:
            place = shutil.which(tool)
            assert place is not None
            (self.bin / tool).symlink_to(place)

    def program(self, name: str, text: str) -> Path:
        """A script of this name on the path."""
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def python(self, name: str, version: str, *, venv: bool = True, pip: bool = True) -> Path:
        """Something that answers as a Python of that version does."""
        return self.program(
            name, PYTHON.format(version=version, venv=int(not venv), pip=int(not pip))
        )

    def type(self, script: str, *words: str, **environment: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of one of the scripts."""
        done = subprocess.run(
            ["/bin/sh", str(self.clone / "scripts" / script), *words],
            env={
                "PATH": str(self.bin),
                "HOME": str(self.clone),
                "OS_RELEASE": str(self.release),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_targets_stand_in_columns() -> None:
    words = ["make", "--no-print-directory", "help"]  # which a make above this one would ask for
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    starts = {
        found.end() for line in done.stdout.splitlines() if (found := re.match(r"[a-z-]+ +", line))
    }
    assert len(starts) == 1
    assert all(re.match(r"[a-z-]+ +\S", line) for line in done.stdout.splitlines())


# ----- which Python


def test_the_first_that_fits_is_taken(machine: Machine) -> None:
    first = machine.python("python3.11", "3.11.9")
    machine.python("python3.12", "3.12.1")
    code, shown, errors = machine.type("setup.sh")
    assert (code, errors) == (0, "")
    assert shown.startswith(f"setup: Python 3.11.9 at {first}\n")
    assert machine.type("setup.sh") == (0, "", ""), "it is there already"


def test_one_that_makes_environments_is_preferred_without_a_word(machine: Machine) -> None:
    machine.python("python3.11", "3.11.2", venv=False)
    machine.python("python3", "3.13.0")
    other = machine.python("python3.12", "3.12.1")
    code, shown, errors = machine.type("setup.sh")
    assert (code, errors) == (0, "")
    assert f"setup: Python 3.12.1 at {other}\n" in shown


def test_what_make_names_comes_first(machine: Machine) -> None:
    machine.python("python3.11", "3.11.9")
    named = machine.python("mine", "3.12.7")
    code, shown, errors = machine.type("setup.sh", PYTHON=str(named))
    assert (code, errors) == (0, "")
    assert f"at {named}\n" in shown


@pytest.mark.parametrize(
    ("version", "venv", "why"),
    [
        ("3.13.1", True, ", Python 3.13.1, is not 3.11 or 3.12"),
        ("3.12.1", False, ", Python 3.12.1, cannot make virtual environments"),
        ("", True, " is no Python that runs here"),
    ],
)
def test_an_unsuitable_one_that_make_names_is_told(
    machine: Machine, version: str, venv: bool, why: str
) -> None:
    good = machine.python("python3.11", "3.11.9")
    named = machine.python("mine", version, venv=venv)
    code, shown, errors = machine.type("setup.sh", PYTHON=str(named))
    assert (code, errors) == (0, f"setup: PYTHON={named}{why}\n")
    assert f"at {good}\n" in shown


def test_on_debian_12_with_a_newer_python(machine: Machine) -> None:
    machine.release.write_text(DEBIAN)
    newer = machine.python("python3", "3.13.1")
    code, shown, errors = machine.type("setup.sh")
    assert (code, shown) == (1, "")
    assert f"setup: found Python 3.13.1 at {newer}: it is not 3.11 or 3.12\n" in errors
    assert errors.endswith(APT)


def test_on_debian_12_without_venv(machine: Machine) -> None:
    machine.release.write_text(DEBIAN)
    bare = machine.python("python3.11", "3.11.2", venv=False)
    code, _, errors = machine.type("setup.sh")
    assert code == 1
    assert f"found Python 3.11.2 at {bare}: it cannot make virtual environments\n" in errors
    assert errors.endswith(APT)
    assert not (machine.clone / ".venv").exists()


@pytest.mark.parametrize("release", ["ID=debian\nVERSION_ID=13\n", "ID=arch\n", None])
def test_elsewhere_one_recipe(machine: Machine, release: str | None) -> None:
    if release is not None:
        machine.release.write_text(release)
    newer = machine.python("python3", "3.13.1")
    code, _, errors = machine.type("setup.sh")
    assert code == 1
    recipe = errors.splitlines()[-1].removeprefix("setup: type: ")
    assert recipe.startswith(f"{newer} -m venv .uv && .uv/bin/pip install uv && ")
    assert recipe.endswith(
        ' && make setup PYTHON="$(.uv/bin/uv python find --managed-python 3.12)"'
    )
    assert "apt-get" not in errors
    newer.unlink()
    code, _, errors = machine.type("setup.sh")
    assert code == 1
    assert "setup: found no Python\n" in errors
    assert "install uv" in errors


# ----- pip


def test_an_index_that_is_not_reached(machine: Machine) -> None:
    real = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
    dead = {
        "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
    }
    code, _, errors = machine.type("setup.sh", PYTHON=real, **dead)
    assert code == 1
    lines = errors.splitlines()
    assert lines[0].startswith("ERROR: "), "what pip says comes first"
    assert lines[-1].startswith(
        "setup: pip could not fetch the locked packages; is a package index"
    )
    assert "PIP_INDEX_URL" in lines[-1]
    assert not (machine.clone / ".venv" / ".complete").exists()


def wheel(folder: Path, name: str, version: str, *lines: str) -> str:
    """An empty package in this folder; what a lock says of it."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    about = (f"Name: {name}", f"Version: {version}", *lines)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", "\n".join(("Metadata-Version: 2.1", *about, "")))
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{name}=={version} --hash=sha256:{digest}\n"


def test_a_newer_release_of_what_another_wants_with_extras_is_let_be(machine: Machine) -> None:
    """The index moves on, the lock does not; Debian's pip refused "measure[more]" as unlocked."""
    index = machine.clone / "index"
    index.mkdir()
    wants = wheel(index, "runner", "1.0", "Requires-Dist: measure[more]>=1.0")
    locked = wants + wheel(index, "measure", "1.0", "Provides-Extra: more")
    wheel(index, "measure", "2.0", "Provides-Extra: more")
    (machine.clone / "requirements.lock").write_text(locked)
    real = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
    only = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_CONFIG_FILE": os.devnull}
    _, _, errors = machine.type("setup.sh", PYTHON=real, **only)
    assert "--hash" not in errors
    assert "pip could not fetch" not in errors
    packages = machine.clone / ".venv" / "lib" / f"python3.{sys.version_info.minor}"
    (found,) = (packages / "site-packages").glob("measure-*.dist-info")
    assert found.name == "measure-1.0.dist-info"


# ----- Debian's packages


def test_what_root_types_for_a_debian_package(machine: Machine) -> None:
    machine.program("dpkg", "#!/bin/sh\n[ $2 = there ]\n")
    machine.program("id", "#!/bin/sh\necho 1000\n")
    assert machine.type("debian.sh", "there") == (0, "", "")
    code, shown, errors = machine.type("debian.sh", "there", "prometheus")
    assert (code, shown) == (1, "")
    wanted = "apt-get update && apt-get install -y --no-install-recommends prometheus\n"
    assert errors == f"debian.sh: type as root: {wanted}"


# ----- what holds salts


@pytest.mark.parametrize("name", ["LICENSE.receipt.json", "docs/a.receipt.pending.json"])
def test_files_with_salts_are_not_committed(name: str) -> None:
    done = subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT, check=False)
    assert done.returncode == 0

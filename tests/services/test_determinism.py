"""One chain, several interpreters and environments: every state root and entry is the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.services.chain_node import ChainNode
from tests.services.folders import FOLDER, NAMES, Service
from tests.services.replay import record

ROOT = FOLDER.parent
NEEDED = ("msgspec", "pynacl", "cffi", "pycparser", "rfc8785")
"""What replaying a chain imports beyond the standard library."""
ENVIRONMENTS = [
    {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8"},
    {"PYTHONHASHSEED": "4294967295", "TZ": "America/St_Johns", "LC_ALL": "C.UTF-8"},
]
"""Turkish letters change case in another way; Kathmandu is 5:45 h ahead."""


@pytest.fixture(scope="module")
def recordings(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[Path, list[str]]]:
    """For each service the chain that its scenario made, and the roots of its headers."""
    folder = tmp_path_factory.mktemp("chains")
    found: dict[str, tuple[Path, list[str]]] = {}
    for name in NAMES:
        service, node = Service.load(name), ChainNode()
        ground = node.ground
        ground.activate(service.definition)
        service.play(ground)
        archive = node.grown.chain.archive
        head = record(node.grown.kit.genesis, archive, folder / name)
        roots = []
        for height in range(1, head):
            header = archive.header(height)
            assert header is not None
            roots.append(header.state_root)
        found[name] = folder / name, roots
    return found


def replayed(python: Path | str, file: Path, environment: dict[str, str]) -> list[str]:
    """Lines of the replay under an interpreter in an environment."""
    done = subprocess.run(
        [str(python), "-m", "tests.services.replay", str(file)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_environments(name: str, recordings: dict[str, tuple[Path, list[str]]]) -> None:
    file, roots = recordings[name]
    first, *others = (replayed(sys.executable, file, item) for item in ENVIRONMENTS)
    assert [line.split()[1] for line in first] == roots
    assert len(roots) > 50
    for lines in others:
        assert lines == first


def other_python() -> Path | None:
    """The other interpreter of the two that the project supports."""
    minor = 12 if sys.version_info[:2] == (3, 11) else 11
    places = [
        *(Path.home() / ".pyenv" / "versions").glob(f"3.{minor}.*/bin/python3.{minor}"),
        *(Path(folder) / f"python3.{minor}" for folder in os.environ["PATH"].split(":")),
    ]
    return next((place for place in places if place.exists()), None)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The other interpreter and a folder with the locked packages for it."""
    python = other_python()
    if python is None:
        pytest.skip("no second Python: want 3.11 and 3.12")
    folder = tmp_path_factory.mktemp("packages")
    lock = (ROOT / "requirements.lock").read_text()
    parts = re.findall(r"^\S+==.*(?:\n    --hash.*)*", lock, re.MULTILINE)
    wanted = [part for part in parts if part.split("==")[0].lower() in NEEDED]
    assert len(wanted) == len(NEEDED)
    (folder / "lock").write_text("\n".join(wanted) + "\n")
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
    hashed = ["--require-hashes", "--only-binary", ":all:", "-r", str(folder / "lock")]
    command = [str(python), "-m", "pip", "install", *options, "--target", str(folder), *hashed]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{python}: cannot install the locked packages: {done.stderr[-300:]}")
    return python, folder


@pytest.mark.parametrize("name", NAMES)
def test_interpreters(
    name: str, recordings: dict[str, tuple[Path, list[str]]], other: tuple[Path, Path]
) -> None:
    file, roots = recordings[name]
    python, packages = other
    started = time.monotonic()
    lines = replayed(python, file, {**ENVIRONMENTS[1], "PYTHONPATH": str(packages)})
    print(f"{name}: {len(lines)} blocks in {time.monotonic() - started:.1f} s")
    assert lines == replayed(sys.executable, file, ENVIRONMENTS[0])
    assert [line.split()[1] for line in lines] == roots

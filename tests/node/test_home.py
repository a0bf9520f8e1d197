"""Key files and what is written: modes, never replaced, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ledger.leveldb import LevelStore
from node import guard
from node.home import (
    Home,
    KeyFileError,
    make_key_file,
    read_key_seed,
    write_private,
    write_replacing,
)
from node.provision import Ports, init_home

SEED = bytes(range(32))
KIND = "vote-ed25519"


def key_file(tmp_path: Path, **changes: Any) -> Path:
    """A key file with some members changed."""
    path = tmp_path / "key.json"
    value = json.loads(make_key_file(KIND, SEED, "2026-01-01T00:00:00Z"))
    path.write_text(json.dumps({**value, **changes}))
    path.chmod(0o600)
    return path


def test_a_key_file_is_read_back(tmp_path: Path) -> None:
    assert read_key_seed(key_file(tmp_path), KIND) == SEED


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_may_touch_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {path}"):
        read_key_seed(path, KIND)


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"type": "transport-ed25519"},
        {"kdf": "argon2id"},
        {"secret": "AAAA"},
        {"secret": "!"},
        {"secret": "A" * 43},
        {"public": "A" * 43},
        {"extra": 1},
        {"secret": None},
    ],
)
def test_a_file_that_is_not_this_key_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(KeyFileError):
        read_key_seed(key_file(tmp_path, **changes), KIND)


@pytest.mark.parametrize("data", [b"", b"\xff", b"{}", b"[]", b'{"secret":"\xff"}'])
def test_garbage_is_a_key_file_error(tmp_path: Path, data: bytes) -> None:
    path = key_file(tmp_path)
    path.write_bytes(data)
    with pytest.raises(KeyFileError):
        read_key_seed(path, KIND)
    with pytest.raises(KeyFileError):
        read_key_seed(tmp_path / "missing", KIND)


def test_private_files_are_new_and_0600(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, b"one")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_private(path, b"two")
    assert path.read_bytes() == b"one"


def test_replacing_is_atomic_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_replacing(path, b"one")
    write_replacing(path, b"two" * 100_000, 0o600)
    assert path.read_bytes() == b"two" * 100_000
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_init_makes_a_home_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    ports = Ports("127.0.0.1", 1, 2, 3)
    keys = init_home(home, "val-0", "demo", ports)
    before = {path: path.read_bytes() for path in home.keys.iterdir()}
    for path in (home.vote_key, home.transport_key, home.vote_mark):
        assert path.stat().st_mode & 0o777 == 0o600
    assert home.keys.stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileExistsError):
        init_home(home, "val-0", "demo", ports)
    assert {path: path.read_bytes() for path in home.keys.iterdir()} == before
    assert len(keys.vote_key_proof) == 64
    store = LevelStore(home.database)
    try:
        assert guard.VoteGuard(store, home.vote_mark).lost == ""
    finally:
        store.close()

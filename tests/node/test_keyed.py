"""Keyed hashes: what a claim on a private number collides on, through the command."""

from __future__ import annotations

import hashlib
import hmac
import io
from pathlib import Path

import pytest

from node.commands import keyed
from tests.node.test_commands import Desk

SECRET = "ab" * 32
NUMBER = "276098100000001"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_number_has_one_hash_for_all_who_share_the_secret(desk: Desk) -> None:
    secret, chip = desk.folder / "chips.secret", desk.folder / "chip.txt"
    secret.write_text(SECRET)
    wanted = hmac.new(bytes.fromhex(SECRET), NUMBER.encode(), hashlib.sha256).hexdigest()
    for text in (NUMBER, f"{NUMBER}\n", f" {NUMBER}\r\n"):
        chip.write_bytes(text.encode())
        code, shown, hints = desk.type("commit", "--keyed", secret, chip)
        assert (code, shown) == (0, wanted + "\n")
        assert NUMBER not in hints
    assert desk.ok("commit", "--keyed", secret, chip) == {"keyed_hash": wanted}
    assert sorted(p.name for p in desk.folder.iterdir()) == ["chip.txt", "chips.secret"]
    secret.write_text(f"{'cd' * 32}\n")
    assert desk.ok("commit", "--keyed", secret, chip)["keyed_hash"] != wanted


def test_a_number_on_standard_input(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, chip = desk.folder / "chips.secret", desk.folder / "chip.txt"
    secret.write_text(SECRET)
    chip.write_text(NUMBER)
    wanted = desk.ok("commit", "--keyed", secret, chip)["keyed_hash"]
    typed = io.TextIOWrapper(io.BytesIO(f"{NUMBER}\n".encode()))
    monkeypatch.setattr("sys.stdin", typed)
    assert keyed.keyed_hash(secret, Path("-")) == wanted
    typed = io.TextIOWrapper(io.BytesIO(f"{NUMBER}\nmore\n".encode()))
    monkeypatch.setattr(typed, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", typed)
    assert keyed.keyed_hash(secret, Path("-")) == wanted, "a terminal gives one line"


def test_a_secret_is_made_once_and_for_its_owner_only(desk: Desk) -> None:
    first, second = desk.folder / "first", desk.folder / "second"
    for file in (first, second):
        assert desk.ok("commit", "--new-secret", file) == {"file": str(file)}
        assert file.stat().st_mode & 0o777 == 0o600
    assert first.read_text() != second.read_text()
    before = first.read_text()
    assert desk.fails(1, "commit", "--new-secret", first)["reason"] == "FILE_EXISTS"
    assert first.read_text() == before
    chip = desk.folder / "chip.txt"
    chip.write_text(NUMBER)
    assert len(desk.ok("commit", "--keyed", first, chip)["keyed_hash"]) == 64


def test_what_makes_no_keyed_hash(desk: Desk) -> None:
    secret, chip, none = (desk.folder / name for name in ("chips.secret", "chip.txt", "none"))
    secret.write_text(SECRET)
    for text in ("", "\n", "one\ntwo", "Zürich", "x" * 257, "x" * 2_000, f"1{' ' * 2_000}2"):
        chip.write_text(text)
        error = desk.fails(2, "commit", "--keyed", secret, chip)
        assert error["reason"] == "TEXT_INVALID", text
    chip.write_text(NUMBER)
    for text in ("", "secret", SECRET.upper(), SECRET * 2):
        secret.write_text(text)
        error = desk.fails(7, "commit", "--keyed", secret, chip)
        assert (error["reason"], "--new-secret" in error["hint"]) == ("SECRET_INVALID", True)
    assert desk.fails(3, "commit", "--keyed", none, chip)["reason"] == "FILE_UNREADABLE"
    secret.write_text(SECRET)
    assert desk.fails(3, "commit", "--keyed", secret, none)["reason"] == "FILE_UNREADABLE"
    for more in (("-o", none), ("--verify", none), ("--new-secret",)):
        error = desk.fails(2, "commit", "--keyed", secret, chip, *more)
        assert error["reason"] == "OPTIONS"
    assert not none.exists()

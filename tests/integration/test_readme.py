"""README.md: what it says under "Use it", typed twice, as somebody who comes back does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.guide import Block, Typist, blocks
from tests.integration.network import Net

pytestmark = pytest.mark.process
ROOT = Path(__file__).parent.parent.parent


def use_it() -> Block:
    """The block of commands."""
    (found,) = [block for block in blocks(ROOT / "README.md") if "testnet up" in block.text]
    return found


def test_it_can_be_typed_again_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    typist = Typist(folder, tmp_path / "client")
    try:
        for name in ("README.md", "LICENSE"):
            shutil.copy(ROOT / name, folder / name)
        activate = folder / ".venv" / "bin" / "activate"
        activate.parent.mkdir(parents=True)
        activate.touch()  # the two programs are on the path already
        before = sorted(folder.rglob("*"))
        for _ in range(2):
            shown = typist.type(use_it())
            assert shown.count("\ncommitted ") == 2
            assert "VALID: committed" in shown
            assert "val-3      height" in shown
            assert sorted(folder.rglob("*")) == before
        assert "replaced profile demo" in shown
    finally:
        Net(folder / "testnet").clean()
        typist.close()


def test_what_testnet_up_says_when_its_profile_is_of_a_network_before(tmp_path: Path) -> None:
    folder = tmp_path / "town"
    typist = Typist(folder, tmp_path / "client")

    def type_(text: str) -> str:
        return typist.type(Block(1, "sh", "", text))

    up = "munimentd testnet up --validators 1 --home net --detach\n"
    add = "muniment profile add demo --info-file net/net.json --use"
    try:
        shown = type_(up)
        assert f"try:  {add}\n" in shown
        type_(f"{add}\n{add}\nmunimentd testnet clean --home net\n")
        assert f"try:  {add} --replace\n" in type_(up)
        refused = type_(f"{add} || echo exit $?\n")
        assert "(PROFILE_EXISTS)" in refused
        assert refused.endswith("exit 1\n")
        type_(f"{add} --replace\nmuniment status\nmunimentd testnet clean --home net\n")
    finally:
        Net(folder / "net").clean()
        typist.close()

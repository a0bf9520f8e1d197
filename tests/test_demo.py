"""What `make demo` tells people to type while it stays up, typed; and what is left of it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from scripts.demo import ROOT, Demo
from tests.integration.network import Net

pytestmark = pytest.mark.process


def kept() -> set[Path]:
    """Receipts at the places that people would register from."""
    return {*ROOT.glob("*.receipt*.json"), *ROOT.glob("scripts/*.receipt*.json")}


def test_what_visitors_type_works_and_goes_with_the_folder(tmp_path: Path) -> None:
    before = kept()
    demo = Demo(tmp_path / "demo")
    try:
        demo.start()
        hints = demo.hints()
        # In the clone, as the first terminal is.
        done = subprocess.run(
            ["sh", "-eu"],
            input="\n".join(hints),
            cwd=ROOT,
            env={key: value for key, value in os.environ.items() if key != "MUNIMENT_PROFILE"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "VALID: committed" in done.stdout
        assert "killed node 2" in done.stdout
        assert json.loads((demo.net / "net.json").read_text())["nodes"][2]["pid"] is None
        assert len(list(demo.folder.glob("*.receipt.json"))) == 1
    finally:
        demo.stop()
        Net(tmp_path / "demo" / "net").clean()
    assert list(tmp_path.iterdir()) == []
    assert kept() == before

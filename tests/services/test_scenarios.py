"""Scenarios that are none: every mistake is named with its line, through the command."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from node import client_cli
from node.authoring.source import parse
from tests.services.folders import FOLDER, NAMES

STALL = Path(__file__).parent / "market-stall"
SCRIPT = (STALL / "scenario.yaml").read_text(encoding="utf-8")
OTHERS: tuple[Any, ...] = (
    None, True, 0, -1, 2**60, 1.5, "", "x", "a b", "é", "$nobody", "@9x", "#text", "founder", "{}",
    [], ["x"], [[1]], [None], {}, {"x": 1}, {"x": {"y": []}}, {"as": "x"}, "9" * 30, "@" + "9" * 12,
)  # fmt: skip
ROLES = SCRIPT[SCRIPT.index("roles:\n") : SCRIPT.index("steps:\n")]
MUTANTS = 40
LINE = re.compile(r"scenario\.yaml(:\d+)?: ")


def tried(folder: Path) -> Result:
    done = CliRunner().invoke(client_cli.app, ["service", "test", str(folder)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def said(folder: Path, script: str) -> list[str]:
    """What the command says of the market stall with another scenario; it must not pass."""
    shutil.copytree(STALL, folder, dirs_exist_ok=True)
    (folder / "scenario.yaml").write_text(script, encoding="utf-8")
    done = tried(folder)
    assert (done.exit_code, done.stdout) == (1, "")
    return done.stderr.replace(f"{folder}/", "").splitlines()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a tree below its top."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, part in items:
        yield (*path, key)
        yield from places(part, (*path, key))


def changed(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    """A tree with another value in one place."""
    if not path:
        return other
    copied = value.copy()
    copied[path[0]] = changed(value[path[0]], path[1:], other)
    return copied


@pytest.mark.parametrize("name", NAMES)
def test_another_kind_anywhere_is_no_traceback(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(FOLDER / name, folder)
    script = folder / "scenario.yaml"
    whole = parse(script.read_text(encoding="utf-8")).value
    rng = random.Random(name)
    every = list(places(whole))
    refused = 0
    for _ in range(MUTANTS):
        path, other = rng.choice(every), rng.choice(OTHERS)
        tree = changed(whole, path, other)
        script.write_text(json.dumps(tree), encoding="utf-8")  # which is YAML, too
        done = tried(folder)
        assert done.exit_code in (0, 1), (path, other)
        if done.exit_code:
            refused += 1
            assert LINE.search(done.stderr), (path, other, done.stderr)
            assert "Traceback" not in done.stderr
    assert refused > MUTANTS // 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (ROLES, "roles: [olga, otto]\n", "roles: want a mapping"),
        ("  officer: [olga, otto, tom]", "  officer: {olga: yes}", "roles.officer: want `olga` or"),
        ("officer: [olga,", "officer: [hilda,", "roles.officer: nobody is called hilda"),
        ("officer: [olga,", "officer: [olga in hall,", "roles.officer: hall is no agency; there"),
        ("  cashier: [carl, tom]", "  king: [carl]", "roles.king: market-stall.king cannot be giv"),
        ("people: [tom]", "people: [tom, olga]", "agencies.people: olga is of town-hall already"),
        ("people: [tom]", "people: [tom, no]", "agencies.people: want names of persons"),
        ("people: [tom]", "people: [tom, founder]", "agencies.people: founder is the name of who"),
        ("- {as: olga, create", "- {as: hilda, create", "steps.0.as: nobody is called hilda"),
        ("- {as: olga, create", "- {create", "steps.0: create wants `as`, too"),
        ("metres: 4}, ref", "metres: {x: 4}}, ref", "steps.0.data.metres: want a value or a list"),
        ("metres: 4}, ref", "metres: @4x}, ref", "not YAML"),
        ("metres: 4}, ref", "metres: '@4x'}, ref", "steps.0.data.metres: want a time as 30s"),
        ("steps:\n", "steps:\n  - create\n", "steps.0: want a step, as in"),
        (
            "- {advance: 30d, timer",
            "- {advance: soon, timer",
            "steps.43.advance: want a time as 30s",
        ),
        ("steps:\n", "stpes:\n", "stpes: unknown; want one of agencies, roles, steps"),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in SCRIPT
    shown = said(tmp_path / "market-stall", SCRIPT.replace(old, new, 1))
    line = SCRIPT[: SCRIPT.index(old)].count("\n") + 1
    line += new.startswith("steps:\n")
    assert any(f"scenario.yaml:{line}: error: {message}" in text for text in shown), shown

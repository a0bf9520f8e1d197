"""Errors for people: no regular expression and no JSON path reaches them."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from node import config, daemon_cli
from node.forms import WORDS, bare, in_words
from node.methods import document

_runner = CliRunner()
MODULES = ("party", "document", "system", "registry")


def patterns(value: Any) -> Iterator[str]:
    """All patterns in a schema."""
    if isinstance(value, dict):
        if isinstance(value.get("pattern"), str):
            yield value["pattern"]
        for item in value.values():
            yield from patterns(item)
    elif isinstance(value, list):
        for item in value:
            yield from patterns(item)


def operations() -> Iterator[type[msgspec.Struct]]:
    """The fields of every operation."""
    for name in MODULES:
        module = importlib.import_module(f"ledger.modules.{name}")
        for _, found in inspect.getmembers(module, inspect.isclass):
            if issubclass(found, msgspec.Struct) and found.__module__ == module.__name__:
                yield found


def test_every_form_that_is_asked_for_has_words() -> None:
    asked = set(patterns(document()))
    for struct in (*operations(), config.Config):
        asked |= set(patterns(msgspec.json.schema(struct)))
    assert len(asked) > 20
    assert [pattern for pattern in asked if bare(pattern) not in WORDS] == []


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "Expected `str` matching regex '^[0-9a-f]{64}$' - at `$.id`",
            "id: want 64 lower-case hex digits",
        ),
        (
            "ops[0]: Expected `str` matching regex '^(?:[A-Za-z0-9._-]{1,64})\\\\Z' - at `$.x`",
            "ops[0]: x: want 1 to 64 of A-Za-z0-9._-",
        ),
        (
            "Expected `str` matching regex '^new\\'$' - at `$.x`",
            "x: want another form, see docs/spec/formats.md",
        ),
        ("Expected `int` >= 1 - at `$.limit`", "limit: want a whole number >= 1"),
        ("Expected `int`, got `str` - at `$.limit`", "limit: want a whole number, got text"),
        ("Expected `str | null`, got `int` - at `$.a[0]`", "a[0]: want text or null, got a whole"),
        ("Object missing required field `id`", "id is missing"),
        ("ops[0]: Object contains unknown field `x` - at `$.a`", "ops[0]: a: there is no x"),
        ("no such thing", "no such thing"),
    ],
)
def test_what_a_parser_says_in_words(message: str, words: str) -> None:
    assert in_words(message).startswith(words)
    assert "regex" not in in_words(message)


def test_a_setting_of_the_wrong_form_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[p2p]\nlisten = "nowhere"\n')
    command = ["config", "validate", "--home", str(tmp_path)]
    done = _runner.invoke(daemon_cli.app, command)
    assert done.exit_code == 64
    assert "p2p.listen: want host:port" in done.stderr
    answer = json.loads(_runner.invoke(daemon_cli.app, [*command, "--json"]).stdout)
    assert "regex" not in answer["error"]["message"]

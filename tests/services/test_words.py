"""What the page and the list of changes say of a service, and that expressions read as written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ledger import canonical
from ledger.registry.syntax import parse
from node import client_cli
from node.authoring.words import expression
from tests.services.folders import NAMES, Service

STALL = Path(__file__).parent / "market-stall"
OPERATORS = {"or", "and", "not", "neg", "if", "in", "==", "!=", "<", "<=", ">", ">=", "+", "-"}
OPERATORS |= {"*", "/", "%", "get", "has", "call", "var", "str", "int"}


def said(*command: str | Path) -> str:
    done = CliRunner().invoke(client_cli.app, [str(part) for part in command])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def trees(value: Any) -> Iterator[list[Any]]:
    """Every expression within a definition, and every part of one."""
    if isinstance(value, list) and value and str(value[0]) in OPERATORS:
        yield value
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, dict | list):
            yield from trees(part)


@pytest.mark.parametrize("name", NAMES)
def test_an_expression_that_is_printed_reads_as_it_was(name: str) -> None:
    definition = canonical.decode(Service.load(name).definition.encode())
    found = list(trees(definition["types"]))
    assert len(found) > 50
    for tree in found:
        assert parse(expression(tree)) == tree


@pytest.mark.parametrize(
    "text",
    [
        "(a || b) && !(c && d)",
        "a - (b - c) * -d % 2",
        "(a < b) == c",
        "(a ? b : c) ? 1 : d ? 'it\\'s' : [1, null]",
        "has(get(data.x).y) && x in ['a\\\\', \"b\"]",
        "-(-a) + (b ? 1 : 2)",
    ],
)
def test_brackets_stay_where_they_matter(text: str) -> None:
    tree = parse(text)
    assert parse(expression(tree)) == tree


CHANGES = [
    ("400 * data.metres", "450 * data.metres", "permit: create: set fee: 1500 + 400 * data.metres"
     " becomes 1500 + 450 * data.metres"),
    ("input.amount == data.fee", "input.amount >= data.fee", "permit: pay: asks something else by"
     " fee_complete: input.amount == data.fee becomes input.amount >= data.fee"),
    ("          - cancel: {name: close}\n", "", "permit: appeal: no longer: cancel close"),
    ("          - cancel: {name: strike}\n", "          - cancel: {name: strike}\n"
     "          - if: {when: data.fee > 9, then: [{cancel: {name: close}}]}\n",
     "permit: renew: newly: when data.fee > 9: cancel close"),
    ("count: 2, of: role(officer)", "count: 3, of: role(officer)", "permit: refuse: was for 2"
     " different persons who are officer, but not the trader, is for 3 different persons who are"
     " officer, but not the trader"),
    ("rectify: role(officer)", "rectify: role(cashier)", "permit: rectify: was for officer, is for"
     " cashier"),
    ("amount: integer\n", "amount: {kind: integer, minimum: 1}\n", "permit: pay: input amount: "),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), CHANGES)
def test_a_change_is_told_with_what_it_was(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    text = (STALL / "service.yaml").read_text(encoding="utf-8")
    assert old in text
    other = tmp_path / "service.yaml"
    other.write_text(text.replace(old, new, 1), encoding="utf-8")
    shown = said("service", "diff", STALL, other)
    assert message in shown
    assert "other effects" not in shown


def test_an_order_of_effects_is_a_change(tmp_path: Path) -> None:
    text = (STALL / "service.yaml").read_text(encoding="utf-8")
    lines = ("          - claim: {namespace: receipt, key: input.receipt}\n",
             "          - set: {field: receipt, value: input.receipt}\n")  # fmt: skip
    assert "".join(lines) in text
    other = tmp_path / "service.yaml"
    other.write_text(text.replace("".join(lines), "".join(reversed(lines)), 1), encoding="utf-8")
    shown = said("service", "diff", STALL, other)
    assert shown == "permit: pay: has the same effects in another order or number\n"


def test_the_page_has_one_title_and_names_lists(tmp_path: Path) -> None:
    folder = tmp_path / "market-stall"
    shutil.copytree(STALL, folder)
    about = "# Market stalls\n\nWho may stand where.\n\n## Law\n\n```sh\n# no heading\n```\n"
    (folder / "about.md").write_text(about, encoding="utf-8")
    page = said("service", "doc", folder)
    outside = page.replace("# no heading\n", "", 1)
    assert [line for line in outside.splitlines() if line.startswith("# ")] == [
        "# market-stall, version 1"
    ]
    assert "\n## Market stalls\n" in page
    assert "\n### Law\n" in page
    assert "2 different persons who are officer, but not the trader" in page
    assert "appeals-officer, but not any of the deciders" in page

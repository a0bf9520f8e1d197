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
from node.authoring.compiler import compile_source
from node.authoring.page import service_page
from node.authoring.source import parse as parse_yaml
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
    ("from: paid\n", "from: [paid, refused, lapsed]\n",
     "permit: check: may start from more states: refused, lapsed\n"),
    ("from: [active, lapsed]\n        to: active", "from: active\n        to: active",
     "permit: renew: no longer starts from: lapsed\n"),
    ("from: [active, lapsed]\n        to: active", "from: [paid, active]\n        to: active",
     "permit: renew: may start from more states: paid\n"
     "permit: renew: no longer starts from: lapsed\n"),
    ("from: [active, lapsed]\n        to: active", "from: [active, lapsed]\n        to: paid",
     "permit: renew: leads to paid, no longer to active\n"),
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
    assert "leads elsewhere" not in shown


def test_an_order_of_states_is_no_change(tmp_path: Path) -> None:
    text = (STALL / "service.yaml").read_text(encoding="utf-8")
    other = tmp_path / "service.yaml"
    other.write_text(text.replace("from: [active, lapsed]", "from: [lapsed, active]"), "utf-8")
    assert said("service", "diff", STALL, other) == "no change\n"


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


SHOWN = [
    ("create", "sets fee to `1500 + 400 * data.metres`"),
    ("pay", "claims receipt: the given receipt; sets receipt to the given receipt"),
    ("check", "sets officer to who acts"),
    (
        "grant",
        "claims pitch: the given pitch; sets pitch to the given pitch; sets expires to 365 days "
        "from now; sets the timer lapse for its expires",
    ),
    (
        "renew",
        "claims receipt: the given receipt; sets receipt to the given receipt; sets expires to "
        "365 days after its expires; cancels the timer strike; sets the timer lapse for its "
        "expires",
    ),
    ("strike", "releases pitch: its pitch"),
    ("dismiss", ""),
    ("rectify", "replaces a commitment; the one before stays in the history"),
]


ASKED = [
    ["receipt", "pay", "string of the form `[A-Z0-9-]+`, at most 24 characters"],
    ["amount", "pay", "integer, 0 or more"],
    ["pitch", "grant", "string of the form `[A-Z][0-9]{1,3}`, at most 4 characters"],
    ["reason_code", "refuse", "code"],
    ["receipt", "renew", "string of the form `[A-Z0-9-]+`, at most 24 characters"],
    ["amount", "renew", "integer, 0 or more"],
]


def test_the_page_says_what_each_act_asks_for() -> None:
    page = said("service", "doc", STALL)
    (table,) = page.split("| asked for | by | kind | |\n|---|---|---|---|\n")[1:]
    asked = [line.strip("| ").split(" | ") for line in table.split("\n\n")[0].splitlines()]
    assert asked == ASKED


def test_the_page_says_what_each_act_changes() -> None:
    page = said("service", "doc", STALL)
    acts = [line for line in page.splitlines() if line.count("|") >= 8]
    rows = {line.split(" | ")[0].removeprefix("| "): line.split("|") for line in acts}
    assert [part.strip() for part in rows["act"]][5:7] == ["what must hold", "what it changes"]
    for act, changed in SHOWN:
        assert rows[act][6].strip() == changed, act
    assert "What a record claims, no other can claim until it is released." in page


FORMS = {
    "metres": "integer, 1 to 12",
    "fee": "integer, 0 or more",
    "receipt": "string of the form `[A-Z0-9-]+`, at most 24 characters",
    "size": "choice of small, large",
    "parts": "list of at most 3, each integer, -5 to 5",
    "other": "record of type market-stall-permit",
    "trader": "party",
}
HOLD = [
    ("pay", "fee complete: `input.amount == data.fee`"),
    (
        "renew",
        "fee complete: `input.amount == data.fee`; "
        "not too early: `now > data.expires - 30 * 86400 \\|\\| false`",
    ),
    ("check", ""),
]


def test_the_page_says_what_limits_fields_and_what_must_hold(tmp_path: Path) -> None:
    text = (STALL / "service.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("data.expires - 30 * 86400", "data.expires - 30 * 86400 || false"),
        (
            "      trader: party\n",
            "      trader: party\n"
            "      size: {kind: choice, of: [small, large]}\n"
            "      parts: {kind: list, max: 3, items: {kind: integer, minimum: -5, maximum: 5}}\n"
            "      other: {kind: record, types: [market-stall-permit]}\n",
        ),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "service.yaml").write_text(text, encoding="utf-8")
    page = said("service", "doc", tmp_path)
    lines = [line for line in page.split("\n") if line.count("|") != 5]  # not what acts ask for
    rows = {line.split(" | ")[0].removeprefix("| "): line.split(" | ") for line in lines}
    assert {name: rows[name][1] for name in FORMS} == FORMS
    assert [(act, rows[act][4]) for act, _ in HOLD] == HOLD


EVERY = [
    (
        "push: {field: deciders, value: me}",
        "adds who acts to deciders",
    ),
    ("pull: {field: deciders, value: data.officer}", "takes its officer from deciders"),
    ("set: {field: officer, value: null}", "takes officer away"),
    ("set: {field: deciders, value: '[]'}", "sets deciders to an empty list"),
    ("set: {field: deciders, value: signers}", "sets deciders to who signed"),
    ("lock: {record: input.other, name: sale}", "locks the given other (sale)"),
    ("unlock: {record: input.other, name: sale}", "unlocks the given other (sale)"),
    (
        "mint: {unit: money, account: account('free'), amount: 5}",
        "makes 5 of money on its account free",
    ),
    (
        "burn: {unit: money, account: account(data.trader), amount: data.fee}",
        "destroys its fee of money on its account (its trader)",
    ),
    (
        "move: {unit: money, from: \"account_of(input.other, 'a')\", "
        "to: \"party_account(data.trader, 'b')\", amount: 1}",
        "moves 1 of money from account a of the given other to account b of its trader",
    ),
    ("create: {type: note, data: {about: id}}", "creates a note (about: this record)"),
    ("fire: {record: input.other, transition: seen}", "does seen on the given other"),
    (
        "fire: {record: input.other, transition: seen, input: {by: me}}",
        "does seen on the given other (by: who acts)",
    ),
    (
        "if: {when: data.metres > 1 || false, then: [{cancel: {name: close}}, "
        "{set: {field: officer, value: me}}]}",
        "if `data.metres > 1 \\|\\| false`: cancels the timer close, sets officer to who acts",
    ),
]


@pytest.mark.parametrize(("effect", "changed"), EVERY)
def test_every_kind_of_effect_has_words(effect: str, changed: str) -> None:
    text = (STALL / "service.yaml").read_text(encoding="utf-8")
    text = text.replace("types:\n", "units: {money: {types: [permit]}}\ntypes:\n", 1)
    written = "- set: {field: officer, value: me}\n"
    assert written in text
    definition, problems = compile_source(source := parse_yaml(
        text.replace(written, f"- {effect}\n", 1)
        .replace("        from: paid\n        to: checked\n", "        from: paid\n"
                 "        to: checked\n        input:\n"
                 "          other: {kind: record, types: [market-stall-permit]}\n", 1)
        + NOTE
    ))  # fmt: skip
    assert definition is not None, problems
    page = service_page(definition, source.value)
    (row,) = (line for line in page.splitlines() if line.startswith("| check |"))
    assert f" | {changed} | " in row


NOTE = """\
  note:
    fields:
      about: {kind: record, types: [market-stall-permit]}
    states: [made]
    final: [made]
    transitions:
      create:
        to: made
        internal: true
"""

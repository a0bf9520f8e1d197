"""What the linter and the compiler say, with the line on which it is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node import client_cli
from node.authoring.compiler import compile_source
from node.authoring.lint import lint
from node.authoring.source import parse

STALL = (Path(__file__).parent / "market-stall" / "service.yaml").read_text(encoding="utf-8")


def said(text: str) -> list[str]:
    """Every problem as `severity path: message`."""
    source = parse(text)
    definition, problems = compile_source(source)
    found = problems if definition is None else lint(definition, source)
    return [f"{p.severity} {'.'.join(p.path)}: {p.message}" for p in found]


ACTS = "types.permit.transitions"
CASES = [
    (
        "input.amount == data.fee",
        "input.amount",
        f"{ACTS}.pay.if.fee_complete: a guard is a condition",
    ),
    ("input.amount == data.fee", "input.cash == data.fee", "input has no field cash"),
    ("input.amount == data.fee", "free(input.amount)", "no function 'free'"),
    ("input.amount == data.fee", "input.amount == 'x'", "never equal"),
    ("input.amount == data.fee", "input.amount && true", "and wants boolean"),
    ("input.amount == data.fee", "input.amount ==", "the expression ends here"),
    ("value: me}", "value: data.nobody}", "data has no field nobody"),
    ("from: applied", "from: paid", "applied is a dead end"),
    ("lapsed, refused,", "lapsed, closed, refused,", "nothing leads to closed"),
    ('kind: string!, pattern: "[A-Z0-9-]+", max: 24', "kind: string!, max: 24", "personal data"),
    ('string!, pattern: "[A-Z0-9-]+"', 'string!, pattern: ".*"', "takes free text"),
    ("roles:\n", "roles:\n  mayor: {}\n", "roles.mayor: no authority names this role"),
    (
        "cashier: {doc: Confirms that a fee arrived.}",
        "cashier: {doc: Confirms, books.}",
        "cashier.books.: unknown",
    ),
    ("by: party(trader)\n        do", "by: trader\n        do", "not an authority: 'trader'"),
    ("role(cashier)", "role(king)", "no role king"),
    (
        "checked, active, lapsed,",
        "checked, on_hold, active, lapsed,",
        "states.on_hold: not a code: lower-case letters, digits and inner hyphens",
    ),
    ("expires: time!", "expires: date!", "no kind 'date'"),
    ("max: 4, doc", "length: 4, doc", "pitch.length: unknown; want one of"),
    ("- cancel: {name: close}", "- cancel: {name: shut}", "shut is no auto transition"),
    ("- cancel: {name: close}", "- cancel", "want a mapping"),
    (
        "amount: integer\n        if:",
        "amount: integer\n          tip: integer\n        if:",
        "input.tip: nothing reads this input",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), CASES)
def test_a_mistake_is_named(old: str, new: str, message: str) -> None:
    assert old in STALL
    found = said(STALL.replace(old, new, 1))
    assert any(message in line for line in found), found


def test_the_line_is_that_of_the_mistake() -> None:
    text = STALL.replace("input.amount == data.fee", "free()", 1)
    source = parse(text)
    _, problems = compile_source(source)
    assert text.splitlines()[problems[0].line - 1].strip() == "fee_complete: free()"
    expected = f"x.yaml:{problems[0].line}: error: {ACTS}.pay.if.fee_complete: no function 'free'"
    assert problems[0].text("x.yaml") == expected


GUIDE = Path(__file__).parent.parent.parent / "docs" / "services" / "authoring.md"


def test_the_mistakes_of_the_guide_look_as_it_shows_them() -> None:
    """One change for each line of the guide's list, in its order."""
    changes = [
        ("input.amount == data.fee", "free(input.amount)"),
        ("from: applied", "from: paid"),
        ("[applied, paid, checked,", "[applied, paid, on_hold, checked,"),
        ("      trader: party\n", "      name: string\n      trader: party\n"),
        ("roles:\n", "roles:\n  mayor: {}\n"),
    ]
    for old, new in changes:
        source = parse(STALL.replace(old, new, 1))
        definition, problems = compile_source(source)
        found = problems if definition is None else lint(definition, source)
        shown = found[0].text("market-stall/service.yaml")
        assert f"\n{shown}\n" in GUIDE.read_text(encoding="utf-8"), shown


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("as: tom, act: pay, on: cheese", "as: carl, act: pay, on: cheese"),
        ("as: olga, create: permit", "as: hilda, create: permit"),
    ],
)
def test_the_scenario_that_fails_looks_as_the_guide_shows_it(
    old: str, new: str, tmp_path: Path
) -> None:
    folder = tmp_path / "market-stall"
    shutil.copytree(Path(__file__).parent / "market-stall", folder)
    script = (folder / "scenario.yaml").read_text(encoding="utf-8")
    file = folder / "scenario.yaml"
    file.write_text(script.replace(old, new, 1))
    done = CliRunner().invoke(client_cli.app, ["service", "test", str(folder)])
    assert done.exit_code == 1
    shown = done.stderr.strip().removeprefix("muniment: ").replace(f"{tmp_path}/", "")
    assert f"\n{shown}\n" in GUIDE.read_text(encoding="utf-8"), shown


def test_a_file_that_is_empty_has_no_empty_place(tmp_path: Path) -> None:
    file = tmp_path / "service.yaml"
    for text, message in (("", "the file is empty"), ("a: [", "not YAML")):
        file.write_text(text)
        done = CliRunner().invoke(client_cli.app, ["service", "lint", str(file)])
        assert done.exit_code == 1
        assert f"error: {message}" in done.stderr
        assert "error: :" not in done.stderr
        assert ":0:" not in done.stderr


LIMITED = (
    (
        "      trader: party\n",
        "      trader: party\n      town: party\n",
    ),
    (
        "        by: party(trader)\n        do:\n          - set: {field: fee",
        "        by: party(trader)\n        if:\n          real_agency: "
        "agency_of(data.town) == data.town\n        do:\n          - set: {field: fee",
    ),
    ("by: role(cashier) and not party(trader)", "by: role(cashier of town)"),
)
SCRIPT = """
agencies: {north: [carl], south: [vito, paul], people: [tom]}
roles: {cashier: [carl in north, vito in south, paul]}
steps:
  - {as: tom, create: permit, data: {trader: tom, town: tom, goods: "#a", metres: 1},
     refused: GUARD_FAILED real_agency}
  - {as: tom, create: permit, name: stall, data: {trader: tom, town: north, goods: "#a", metres: 1}}
  - {as: vito, act: pay, on: stall, input: {receipt: R-1, amount: 1900}, refused: NOT_AUTHORISED}
  - {as: WHO, act: pay, on: stall, input: {receipt: R-1, amount: 1900}, state: paid}
"""


@pytest.mark.parametrize("cashier", ["carl", "paul"])
def test_roles_and_agencies_are_what_the_guide_says(cashier: str, tmp_path: Path) -> None:
    """A grant for one agency counts there only; one for none counts everywhere."""
    text = STALL
    for old, new in LIMITED:
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "service.yaml").write_text(text)
    (tmp_path / "scenario.yaml").write_text(SCRIPT.replace("WHO", cashier))
    done = CliRunner().invoke(client_cli.app, ["service", "test", str(tmp_path)])
    assert done.exit_code == 0, done.stderr

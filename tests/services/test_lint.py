"""What the linter and the compiler say, with the line on which it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.authoring.compiler import compile_source
from node.authoring.lint import lint
from node.authoring.source import parse

DOG = (Path(__file__).parent / "dog-licence" / "service.yaml").read_text(encoding="utf-8")


def said(text: str) -> list[str]:
    """Every problem as `severity path: message`."""
    source = parse(text)
    definition, problems = compile_source(source)
    found = problems if definition is None else lint(definition, source)
    return [f"{p.severity} {'.'.join(p.path)}: {p.message}" for p in found]


ACTS = "types.licence.transitions"
CASES = [
    ("input.amount == 3000", "input.amount", f"{ACTS}.pay.if.fee_complete: a guard is a condition"),
    ("input.amount == 3000", "input.cash == 3000", "input has no field cash"),
    ("input.amount == 3000", "free(input.amount)", "no function 'free'"),
    ("input.amount == 3000", "input.amount == 'x'", "never equal"),
    ("input.amount == 3000", "input.amount && true", "and wants boolean"),
    ("input.amount == 3000", "input.amount ==", "the expression ends here"),
    ("value: me}", "value: data.nobody}", "data has no field nobody"),
    ("to: paid\n        by: role(cashier)", "to: applied\n        by: role(cashier)", "dead end"),
    ("lapsed, refused,", "lapsed, strayed, refused,", "nothing leads to strayed"),
    ('kind: string!, pattern: "[A-Z0-9-]+", max: 24', "kind: string!, max: 24", "personal data"),
    ('string!, pattern: "[A-Z0-9-]+"', 'string!, pattern: ".*"', "takes free text"),
    ("roles:\n", "roles:\n  vet: {}\n", "roles.vet: no authority names this role"),
    (
        "clerk: {doc: Grants and refuses.}",
        "clerk: {doc: Grants, refuses.}",
        "clerk.refuses.: unknown",
    ),
    ("by: party(holder)\n      pay", "by: holder\n      pay", "not an authority: 'holder'"),
    ("role(cashier)", "role(king)", "no role king"),
    ("expires: time!", "expires: date!", "no kind 'date'"),
    ("max: 6}\n      receipt", "length: 6}\n      receipt", "tag.length: unknown; want one of"),
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
    assert old in DOG
    found = said(DOG.replace(old, new, 1))
    assert any(message in line for line in found), found


def test_the_line_is_that_of_the_mistake() -> None:
    text = DOG.replace("input.amount == 3000", "free()", 1)
    source = parse(text)
    _, problems = compile_source(source)
    assert text.splitlines()[problems[0].line - 1].strip() == "fee_complete: free()"
    expected = f"x.yaml:{problems[0].line}: error: {ACTS}.pay.if.fee_complete: no function 'free'"
    assert problems[0].text("x.yaml") == expected

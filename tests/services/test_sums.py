"""What a scenario expects of accounts and aggregates, through the command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from node.authoring.source import parse
from tests.services.test_scenarios import BEGUN, tried_with

UNITS = [
    ("types:\n", "units: {money: {types: [permit]}, share: {types: [permit]}}\ntypes:\n"),
    (
        "          - claim: {namespace: receipt, key: input.receipt}\n",
        "          - mint: {unit: money, account: account('due'), amount: 900}\n"
        "          - move: {unit: money, from: account('due'), amount: 300,\n"
        "              to: \"party_account(data.trader, 'paid')\"}\n"
        "          - if: {when: true, then: [{mint: {unit: share, account: account(me),\n"
        "              amount: 1}}]}\n",
    ),
    (
        "    states: [applied,",
        "    aggregates: {notes: {type: note, link: about, states: [made], field: weight}}\n"
        "    states: [applied,",
    ),
    (
        "  permit:\n",
        "  note:\n"
        "    fields: {about: {kind: record, types: [market-stall-permit]}, weight: integer}\n"
        "    states: [made]\n    final: [made]\n"
        "    transitions: {create: {to: made, by: role(officer)}}\n"
        "  permit:\n",
    ),
]
NOTE = "  - {as: olga, create: note, name: n, data: {about: $a, weight: 7}}\n"
PAID = BEGUN[: BEGUN.rindex("  - {")] + NOTE


def expecting(folder: Path, step: str) -> tuple[int, str]:
    """Exit code and what is said of a scenario that ends with an expectation of the permit."""
    return tried_with(folder, UNITS, f"{PAID}  - {{expect: a, {step}}}\n")


@pytest.mark.parametrize(
    "step",
    [
        "balance: {money due: 600}",
        'balance: {money due: 600, "money party:tom#paid": 300}',
        'balance: {"money party:olga#paid": 0, share carl: 1, share olga: 0, share x: 0}',
        "count: {notes: 1}, sum: {notes: 7}",
        "balance: null",
    ],
)
def test_accounts_and_aggregates_are_expected(step: str, tmp_path: Path) -> None:
    assert expecting(tmp_path, step)[0] == 0


FORM = "want a unit and an account: `money available` for one of this record, `money party:tom#p"
WRONG = [
    ("balance: {nonsense: 0}", FORM),
    ("balance: {money: 0}", FORM),
    ("balance: {money : 0}", FORM),
    ('balance: {"money a#due": 0}', FORM),
    ('balance: {"money party:tom": 0}', FORM),
    ('balance: {"money party:nobody#paid": 0}', "nobody is called nobody; name who there is in"),
    ("balance: {mony due: 0}", "the service has no unit mony; there are: money, share"),
    ("balance: {money dues: 0}", "no act uses an account dues of a record for money; there are: "
     "due"),
    ('balance: {"money party:tom#due": 0}', "no act uses an account due of a party for money; there"
     " are: paid"),
    ('balance: {"share party:tom#due": 0}', "no act uses an account due of a party for share; there"
     " are: none"),
    ("count: {note: 0}", "permit has no aggregate note; there are: notes"),
    ("sum: {paid: 0}", "permit has no aggregate paid; there are: notes"),
]  # fmt: skip


@pytest.mark.parametrize(("step", "message"), WRONG)
def test_what_the_service_has_not_is_no_nought(step: str, message: str, tmp_path: Path) -> None:
    code, said = expecting(tmp_path, step)
    assert code == 1
    assert f"scenario.yaml:{PAID.count(chr(10)) + 1}: error: steps.3." in said
    assert message in said, said
    assert "SCENARIO_INVALID" in said


def test_another_amount_is_told(tmp_path: Path) -> None:
    code, said = expecting(tmp_path, 'balance: {"money party:tom#paid": 1}')
    assert (code, "want balance money party:tom#paid 1, got 300" in said) == (1, True)


def test_the_form_that_the_guide_shows(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "services" / "authoring.md").read_text("utf-8")
    shown = re.findall(r"^\| `(balance: \{.*?\})` \|", guide, re.MULTILINE)
    assert len(shown) == 1
    assert parse(shown[0]).value == {
        "balance": {"money available": 250, "money party:tom#paid": 1500}
    }
    step = shown[0].replace("available", "due").replace("250", "600").replace("1500", "300")
    assert expecting(tmp_path, step)[0] == 0

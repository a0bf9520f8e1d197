"""What the guide for authors says in a sentence, tried on the example, through the command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.guide import blocks
from tests.services.test_scenarios import BEGUN, LAPSED, tried_with

GUIDE = Path(__file__).parents[2] / "docs" / "services" / "authoring.md"
PAID = BEGUN[: BEGUN.rindex("  - {")]
SECOND = """\
  - {as: tom, create: permit, name: b, data: {trader: tom, goods: "#b", metres: 1}}
  - {as: carl, act: pay, on: b, input: {receipt: R-2, amount: 1900}}
"""


def test_a_private_number_is_taken_once(tmp_path: Path) -> None:
    """The recipe of section 4; in a scenario `#text` stands for the keyed hash."""
    (recipe,) = (block.text for block in blocks(GUIDE) if "namespace: chip" in block.text)
    text = (Path(__file__).parent / "market-stall" / "service.yaml").read_text("utf-8")
    check = text[text.index("      check:\n") : text.index("      grant:\n")]
    made = (
        "      check:\n        from: paid\n        to: checked\n"
        "        by: role(officer) and not party(trader)\n" + re.sub("(?m)^(?=.)", " " * 8, recipe)
    )
    changes = [("      trader: party\n", "      trader: party\n      chip: hash!\n"), (check, made)]
    steps = (
        '  - {as: olga, act: check, on: a, input: {chip: "#4711"}}\n'
        f"{SECOND}"
        '  - {as: olga, act: check, on: b, input: {chip: "#4711"}, refused: CLAIM_TAKEN chip}\n'
        '  - {as: olga, act: check, on: b, input: {chip: "#4712"}}\n'
        '  - {expect: b, data: {chip: "#4712"}}\n'
    )
    code, said = tried_with(tmp_path, changes, PAID + steps)
    assert code == 0, said


def test_the_holder_of_a_role_may_be_of_another_agency(tmp_path: Path) -> None:
    changes = [("by: role(cashier) and not party(trader)", "by: role(cashier of trader)")]
    script = """\
agencies: {north: [tom], south: [vito, paul]}
roles: {cashier: [vito in north, paul in south]}
steps:
  - {as: tom, create: permit, name: a, data: {trader: tom, goods: "#a", metres: 1}}
  - {as: paul, act: pay, on: a, input: {receipt: R-1, amount: 1900}, refused: NOT_AUTHORISED}
  - {as: vito, act: pay, on: a, input: {receipt: R-1, amount: 1900}}
"""
    code, said = tried_with(tmp_path, changes, script)
    assert code == 0, said
    own = "          own_people: agency_of(me) == agency_of(data.trader)\n"
    complete = "          fee_complete: input.amount == data.fee\n"
    script = script.replace("amount: 1900}}", "amount: 1900}, refused: GUARD_FAILED own_people}")
    code, said = tried_with(tmp_path, [*changes, (complete, complete + own)], script)
    assert code == 0, said


@pytest.mark.parametrize(("state", "fee"), [("lapsed", 7), ("active", 1900)])
def test_state_in_an_effect_is_the_one_before_the_act(state: str, fee: int, tmp_path: Path) -> None:
    then = "{set: {field: fee, value: 7}}"
    effect = f"          - if: {{when: state == '{state}', then: [{then}]}}\n"
    cancel = "          - cancel: {name: strike}\n"
    changes = [(cancel, effect + cancel)]
    step = f"  - {{expect: a, state: active, data: {{fee: {fee}}}}}\n"
    code, said = tried_with(tmp_path, changes, LAPSED + step)
    assert code == 0, said


def test_an_act_of_time_by_hand_is_told_by_state_first(tmp_path: Path) -> None:
    steps = """\
  - {as: olga, act: lapse, on: a, refused: WRONG_STATE checked}
  - {as: otto, act: grant, on: a, input: {pitch: A7}}
  - {as: olga, act: lapse, on: a, refused: NOT_AUTHORISED}
"""
    code, said = tried_with(tmp_path, [], BEGUN + steps)
    assert code == 0, said

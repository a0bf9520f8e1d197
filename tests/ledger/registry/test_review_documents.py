"""Documents are records that no service made: whatever an expression asks of one has an answer."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.registry.check import check
from ledger.registry.definition import IfEffect, IsPolicy, SetEffect
from ledger.registry.fields import RecordField, StringField
from tests.ledger.registry.specimen import act, create, do, kind, service, stage

GIVEN = ["get", ["var", "input"], "r"]
KEPT = ["get", ["var", "data"], "f"]
FUNCTIONS: dict[str, list[Any]] = {
    "locked": ["call", "locked", [GIVEN]],
    "lock_is": ["call", "lock_is", [GIVEN, ["str", "sale"]]],
    "state_of": ["==", ["call", "state_of", [GIVEN]], ["str", "open"]],
    "get": ["has", ["call", "get", [GIVEN]], "nothing"],
    "count": ["!=", ["call", "count", [GIVEN, ["str", "a"]]], ["int", 0]],
    "sum": ["!=", ["call", "sum", [GIVEN, ["str", "a"]]], ["int", 0]],
    "min": ["!=", ["call", "min", [GIVEN, ["str", "a"]]], ["null"]],
    "argmin": ["!=", ["call", "argmin", [GIVEN, ["str", "a"]]], ["null"]],
}


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_a_document_is_asked(name: str) -> None:
    """As a guard, by a policy, and after an effect that put it where no document belongs. Two of
    the functions looked for locks, and an exception stops every validator."""
    asked = FUNCTIONS[name]
    text = {"r": StringField(max=100)}
    later = _with(asked, KEPT)
    acts = {
        "guarded": act(input=text, guards=(("not_so", ["not", asked]),)),
        "judged": act(IsPolicy(["if", asked, ["str", ""], ["var", "me"]]), input=text),
        "changed": act(
            input=text,
            effects=(
                SetEffect("f", GIVEN),
                IfEffect(["not", later], (SetEffect("f", ["null"]),)),
            ),
        ),
    }
    field = RecordField(required=False, types=("odd-box",))
    definition = service({"box": kind({"f": field}, acts=acts)})
    assert check(definition) == []
    chain = stage(definition)
    record, _ = create(chain, "box")
    operation = {
        "op": "document.register", "type": "paper", "title_code": "x", "commitment": "0" * 64
    }  # fmt: skip
    document = chain.run("ann", [operation])["results"][0]["record"]
    for transition in acts:
        assert do(chain, record, transition, {"r": document})["reason"] == "", transition


def test_the_name_of_a_lock_is_a_text_whether_or_not_there_is_one() -> None:
    """What is asked of an unlocked record is wrong in the same way as of a locked one."""
    asked = ["call", "lock_is", [["var", "id"], ["int", 1]]]
    chain = stage(service({"box": kind(acts={"ask": act(guards=(("locked", asked),))})}))
    record, _ = create(chain, "box")
    assert do(chain, record, "ask")["reason"] == "EXPRESSION_TYPE"


def _with(tree: list[Any], argument: list[Any]) -> list[Any]:
    """The tree with another thing asked for."""
    if tree == GIVEN:
        return argument
    return [_with(part, argument) if isinstance(part, list) else part for part in tree]

"""What would stop every validator at once: exceptions that are no refusals, and endless work."""

from __future__ import annotations

from typing import Any

import pytest

from ledger import canonical
from ledger.registry.check import check
from ledger.registry.definition import (
    ClaimEffect,
    CreateEffect,
    FireEffect,
    PushEffect,
    SetEffect,
    Transition,
    decode,
)
from ledger.registry.evaluate import evaluate
from ledger.registry.fields import IntegerField, ListField, RecordField, StringField
from ledger.registry.meter import ExpressionRefused, Meter
from ledger.registry.pattern import Pattern
from ledger.registry.piece import Functions
from tests.ledger.registry.scopes import scope
from tests.ledger.registry.specimen import CLERK, act, create, do, document, kind, service, stage
from tests.work import lines_run

NO_FUNCTIONS: Functions = {}

NUMBERS = ListField(items=IntegerField())


def test_create_is_no_act_on_a_record() -> None:
    chain = stage(service({"a": kind()}))
    record, _ = create(chain, "a")
    entry = do(chain, record, "create")
    assert (entry["status"], entry["reason"]) == ("refused", "TRANSITION_UNKNOWN")


def test_a_type_that_the_current_version_dropped_is_refused() -> None:
    chain = stage(service({"a": kind(), "b": kind()}))
    assert chain.activate(service({"a": kind()}, version=2))["status"] == "committed"
    _, entry = create(chain, "b", version=2)
    assert (entry["status"], entry["reason"]) == ("refused", "TYPE_UNKNOWN")


@pytest.mark.parametrize("name", [[1], {"a": 1}, 1, None, [["var"]]])
def test_a_variable_that_is_no_text_is_a_problem(name: Any) -> None:
    chain = stage(service({"a": kind()}))
    body = document(service({"a": kind()}, version=2))
    body["types"]["a"]["transitions"]["create"]["guards"] = [["g", ["var", name]]]
    entry = chain.govern("activate", {"definition": body})
    assert entry["reason"] == "PROPOSAL_INVALID"


@pytest.mark.parametrize("tree", [["var", "é"], ["call", "é", []], ["é", ["int", 1]]])
def test_problems_in_receipts_read_the_same_in_every_python(tree: list[Any]) -> None:
    """repr() of a character depends on the Unicode tables of the interpreter."""
    chain = stage(service({"a": kind()}))
    body = document(service({"a": kind()}, version=2))
    body["types"]["a"]["transitions"]["create"]["guards"] = [["g", tree]]
    problem = chain.govern("activate", {"definition": body})["results"][0]["problem"]
    assert problem.isascii()


def test_only_ascii_punctuation_is_escaped_in_a_pattern() -> None:
    """Whether a character is a letter depends on the Unicode tables of the interpreter."""
    for character in ("\U00011f02", "é", "\u2000", "a", "0", " "):
        with pytest.raises(ValueError, match="punctuation"):
            Pattern("\\" + character)
        with pytest.raises(ValueError, match="punctuation"):
            Pattern(f"[\\{character}]")
    assert Pattern("\\.\\_\\~").matches("._~")


def test_a_proposal_full_of_patterns_is_checked_in_time() -> None:
    """One member must not hold all others up: this took 5 seconds a proposal."""
    wide = {
        f"f{n}": StringField(pattern="[ -~]{256}[ -~]{256}[^!-~]{256}[ -~]{200}" + "b" * n)
        for n in range(40)
    }
    body = service({f"t{n}": kind({}) for n in range(6)}).types
    types = {
        name: kind({key: StringField(pattern=f.pattern + name) for key, f in wide.items()})
        for name in body
    }
    definition = decode(service(types).encode())
    problems, lines = lines_run(lambda: check(definition))
    assert problems == []
    assert lines < 20_000_000


def test_a_list_field_set_to_something_else_refuses_the_push() -> None:
    effects = (SetEffect("l", ["int", 5]), PushEffect("l", ["int", 1]))
    chain = stage(service({"a": kind({"l": NUMBERS}, create=_create(effects))}))
    assert create(chain, "a")[1]["reason"] == "DATA_INVALID"


def test_data_that_would_hold_itself_is_refused() -> None:
    effects = (SetEffect("l", ["var", "data"]), ClaimEffect("n", (["var", "data"],)))
    chain = stage(service({"a": kind({"l": NUMBERS}, create=_create(effects))}))
    assert create(chain, "a")[1]["reason"] == "DATA_INVALID"


def test_data_does_not_double_with_each_effect() -> None:
    twice = ["list", [["get", ["var", "data"], "l"]] * 2]
    effects = (*(SetEffect("l", twice),) * 31, ClaimEffect("n", (["var", "data"],)))
    made = kind({"l": NUMBERS}, create=_create(effects))
    chain = stage(service({"a": made}))
    assert create(chain, "a", {"l": [1]})[1]["reason"] == "DATA_INVALID"


def test_data_does_not_multiply_with_each_record_created() -> None:
    many = ["list", [["get", ["var", "data"], "l"]] * 60]
    types = {}
    for depth in range(6):
        below = CreateEffect(f"t{depth + 1}", {"l": many})
        types[f"t{depth}"] = kind({"l": NUMBERS}, create=_create((below,), internal=True))
    last = _create((ClaimEffect("n", (["var", "data"],)),), internal=True)
    types["t6"] = kind({"l": NUMBERS}, create=last)
    chain = stage(service(types))
    (_, entry), lines = lines_run(lambda: create(chain, "t0", {"l": [1]}))
    assert entry["reason"] == "DATA_INVALID"
    assert lines < 40_000


def test_names_that_effects_give_are_names() -> None:
    """Members of other names have no place in canonical JSON as we write it."""
    made = kind({"l": NUMBERS}, create=Transition(to="open", by=CLERK, internal=True))
    for effect in (
        CreateEffect("a", {"é": ["int", 1]}),
        FireEffect(["var", "id"], "go", {"é": ["int", 1]}),
    ):
        kinds = {"a": made, "b": kind(acts={"go": act(effects=(effect,))})}
        assert check(service(kinds)) != []


@pytest.mark.parametrize("member", ["indexes", "complete"])
def test_an_index_is_named_once(member: str) -> None:
    """Each costs a write, so a thousand of one field would be work without a price."""
    body = document(service({"a": kind({"n": IntegerField()})}))
    body["types"]["a"]["fields"]["r"] = {
        **body["types"]["a"]["fields"]["n"],
        "kind": "record",
        "types": ["odd-a"],
    }
    del body["types"]["a"]["fields"]["r"]["minimum"], body["types"]["a"]["fields"]["r"]["maximum"]
    body["types"]["a"][member] = ["r"]
    assert check(decode(canonical.encode(body))) == []
    body["types"]["a"][member] = ["r", "r"]
    assert check(decode(canonical.encode(body))) != []


@pytest.mark.parametrize(
    "tree",
    [
        ["==", ["var", "data"], ["var", "data"]],
        ["in", ["var", "data"], ["list", [["var", "data"]] * 20]],
    ],
)
def test_comparing_large_values_costs_by_their_size(tree: list[Any]) -> None:
    data = {f"f{n}": list(range(64)) for n in range(48)}
    meter = Meter(10_000)
    evaluate(["==", ["int", 1], ["int", 1]], scope({}, NO_FUNCTIONS, meter))
    assert meter.left == 10_000 - 3
    four = ["list", [tree] * 4]
    with pytest.raises(ExpressionRefused) as refused:
        evaluate(four, scope({"data": data}, NO_FUNCTIONS, meter))
    assert refused.value.reason == "EXPRESSION_COST"


def test_hashing_large_values_costs_by_their_size() -> None:
    texts = ListField(items=StringField(max=256), max=64)
    many = ["list", [["var", "data"]] * 150]
    sealed = ["call", "commitment", [["str", "0" * 64], many]]
    guard = ["!=", sealed, ["str", ""]]
    made = kind({"l": texts}, acts={"go": act(guards=(("g", guard),))})
    chain = stage(service({"a": made}))
    record, entry = create(chain, "a", {"l": ["x" * 250] * 64})
    assert entry["status"] == "committed"
    assert do(chain, record, "go")["reason"] == "EXPRESSION_COST"


def test_looking_large_records_up_costs_by_their_size() -> None:
    """Each act checks all of a record's links again."""
    texts = ListField(items=StringField(max=256), max=64)
    links = ListField(items=RecordField(types=("odd-big",)), max=64, required=False)
    many = kind({f"l{n}": links for n in range(8)}, acts={"go": act()})
    chain = stage(service({"big": kind({"a": texts, "b": texts}), "many": many}))
    target, entry = create(chain, "big", {"a": ["x" * 220] * 64, "b": ["y" * 220] * 64})
    assert entry["status"] == "committed"
    record, entry = create(chain, "many", {"l0": [target] * 8})
    assert entry["status"] == "committed"
    assert do(chain, record, "go")["status"] == "committed"
    everything = {f"l{n}": [target] * 60 for n in range(8)}
    assert create(chain, "many", everything)[1]["reason"] == "EXPRESSION_COST"


def _create(effects: tuple[Any, ...], *, internal: bool = False) -> Transition:
    return Transition(to="open", by=CLERK, internal=internal, effects=effects)

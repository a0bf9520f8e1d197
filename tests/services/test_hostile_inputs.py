"""Hostile acts and sources: bounded, with a stable reason, and no trace but the replay mark."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import Any

import pytest
import yaml

from ledger.state import State
from node.authoring.compiler import compile_source
from node.authoring.lint import lint
from node.authoring.source import SourceError, parse
from tests.services.hostile import SOURCE, Play, box, definition
from tests.work import lines_run

BIG = 2**53 - 1
ID: list[Any] = ["var", "id"]


def tree(text: str) -> list[Any]:
    """A compiled expression."""
    source = SOURCE.replace("do: [{set: {field: kept, value: 1}}]", f"if: {{g: {text!r}}}")
    return definition(source).types["box"].transitions["work"].guards[0][1]


def contents(state: State) -> dict[bytes, bytes]:
    """Everything that a state holds but the replay marks: `mark/` and tables r, m and n."""
    marks = (b"smark/", b"r", b"m", b"n")
    return {key: value for key, value in state.scan(b"") if not key.startswith(marks)}


def effect(*effects: dict[str, Any], given: dict[str, Any] | None = None) -> dict[str, Any]:
    """The service with these effects of `work`."""
    return box({"effects": list(effects), "input": given or {}})


def setting(text: str) -> dict[str, Any]:
    """An effect that gives a field the value of an expression."""
    return {"e": "set", "field": "kept", "value": tree(text)}


MOVE = {"e": "move", "unit": "coin", "source": tree("account('a')"), "target": tree("account('b')")}
MINT = {"e": "mint", "unit": "coin", "account": tree("account('a')")}
WORK: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "expression bomb": (effect(setting("1" + " + 1" * 30)), "", {}),
    "overflow of a sum": (effect(setting(f"{BIG} + 1")), "EXPRESSION_OVERFLOW", {}),
    "overflow of a product": (effect(setting(f"{BIG} * {BIG}")), "EXPRESSION_OVERFLOW", {}),
    "overflow below": (effect(setting(f"-{BIG} - 1")), "EXPRESSION_OVERFLOW", {}),
    "division by zero": (effect(setting("1 / 0")), "EXPRESSION_OVERFLOW", {}),
    "remainder by zero": (effect(setting("1 % 0")), "EXPRESSION_OVERFLOW", {}),
    "a text plus a number": (effect(setting("'a' + 1")), "EXPRESSION_TYPE", {}),
    "true as a number": (effect(setting("true + 1")), "EXPRESSION_TYPE", {}),
    "a condition that is a number": (
        effect({"e": "if", "when": tree("1"), "then": []}),
        "EXPRESSION_TYPE",
        {},
    ),
    "a field that is missing": (effect(setting("data.number")), "EXPRESSION_TYPE", {}),
    "a record that is a text": (effect(setting("get(data.owner).x")), "EXPRESSION_TYPE", {}),
    "a record that is a path": (effect(setting("get('sys/params').x")), "EXPRESSION_TYPE", {}),
    "a map as a value": (effect(setting("data")), "DATA_INVALID", {}),
    "a list where none is": (effect(setting("[1, [2]]")), "DATA_INVALID", {}),
    "a negative amount": (effect({**MINT, "amount": tree("-1")}), "AMOUNT_NEGATIVE", {}),
    "an amount that is a text": (effect({**MINT, "amount": tree("'1'")}), "AMOUNT_NEGATIVE", {}),
    "more than there is": (effect({**MOVE, "amount": tree("1")}), "BALANCE_SHORT", {}),
    "burning what is not there": (
        effect({**MINT, "e": "burn", "amount": tree("1")}),
        "BALANCE_SHORT",
        {},
    ),
    "supply beyond 2^53-1": (
        effect({**MINT, "amount": tree(str(BIG))}, {**MINT, "amount": tree("1")}),
        "SUPPLY_OVERFLOW",
        {},
    ),
    "an account without a name": (
        effect({**MINT, "account": tree("'x'"), "amount": tree("1")}),
        "EXPRESSION_TYPE",
        {},
    ),
    "an account with a space": (
        effect({**MINT, "account": tree("'a b#c'"), "amount": tree("1")}),
        "EXPRESSION_TYPE",
        {},
    ),
    "an account beyond ASCII": (
        effect({**MINT, "account": ["str", "\u00e4#c"], "amount": tree("1")}),
        "EXPRESSION_TYPE",
        {},
    ),
    "an account of control characters": (
        effect({**MINT, "account": ["str", "a\x00#c"], "amount": tree("1")}),
        "EXPRESSION_TYPE",
        {},
    ),
    "a lock of itself": (effect({"e": "lock", "record": ID, "name": "l"}), "REENTERED", {}),
    "a lock of no record": (
        effect({"e": "lock", "record": tree("'funds-grant/x'"), "name": "l"}),
        "EXPRESSION_TYPE",
        {},
    ),
    "a lock of what does not exist": (
        effect({"e": "lock", "record": tree(f"'odd-box/{'0' * 32}'"), "name": "l"}),
        "RECORD_UNKNOWN",
        {},
    ),
    "firing itself": (
        effect({"e": "fire", "record": ID, "transition": "knock", "input": {}}),
        "REENTERED",
        {},
    ),
    "opening a lock of nobody": (
        effect({"e": "unlock", "record": tree("input.other"), "name": "l"}),
        "INPUT_INVALID",
        {"other": "odd-box/" + "0" * 32},
    ),
    "giving back a claim that is not taken": (
        effect({"e": "release", "namespace": "n", "key": [tree("1")]}),
        "CLAIM_NOT_OURS",
        {},
    ),
    "a claim twice": (
        effect(*[{"e": "claim", "namespace": "n", "key": [tree("1")]}] * 2),
        "CLAIM_TAKEN",
        {},
    ),
    "pulling what is not there": (
        effect({"e": "pull", "field": "items", "value": tree("1")}),
        "ITEM_ABSENT",
        {},
    ),
    "pushing beyond the list": (
        effect(*[{"e": "push", "field": "items", "value": tree("1")}] * 5),
        "DATA_INVALID",
        {},
    ),
    "a timer at a negative time": (
        effect({"e": "timer", "name": "ring", "at": tree("-1")}),
        "EXPRESSION_TYPE",
        {},
    ),
    "a timer at a text": (
        effect({"e": "timer", "name": "ring", "at": tree("'now'")}),
        "EXPRESSION_TYPE",
        {},
    ),
    "a salt that is too short": (effect(setting("commitment('00', 1)")), "EXPRESSION_TYPE", {}),
    "the size of a number": (effect(setting("size(1)")), "EXPRESSION_TYPE", {}),
    "holdings of no list": (effect(setting("holdings('coin', id, 'a')")), "EXPRESSION_TYPE", {}),
    "a party that nobody knows": (effect(setting("size(agency_of('x'))")), "EXPRESSION_TYPE", {}),
    "an input that is not asked for": (effect(), "INPUT_INVALID", {"sys": 1}),
}


@pytest.mark.parametrize("name", WORK)
def test_a_hostile_act_is_bounded(name: str) -> None:
    value, wanted, given = WORK[name]
    play = Play(_with_other_input(value, given))
    record = play.made()
    before = contents(play.stage.state)
    assert play.do(play.act(record, given)) == wanted
    if wanted:
        assert contents(play.stage.state) == before


def _with_other_input(value: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    if "other" in given:
        form = deepcopy(value["types"]["box"]["fields"]["other"])
        value["types"]["box"]["transitions"]["work"]["input"] = {"other": form}
    return value


OWN = {"owner": "ann"}
DATA: dict[str, Any] = {
    "a field that is not there": {**OWN, "sys.params": 1},
    "a field of effects": {**OWN, "kept": 1},
    "an owner that does not exist": {"owner": "nobody"},
    "an owner of look-alike letters": {"owner": "\u0430nn"},
    "an owner that is a list": {"owner": ["ann"]},
    "an integer too large": {**OWN, "number": BIG + 1},
    "a number that is a truth value": {**OWN, "number": True},
    "a number that is a text": {**OWN, "number": "1"},
    "a text too long": {**OWN, "text": "a" * 257},
    "a text beyond the pattern": {**OWN, "text": "caf\u00e9"},
    "a text with a direction mark": {**OWN, "text": "a\u202eb"},
    "a text with a null byte": {**OWN, "text": "a\x00"},
    "a record of another type": {**OWN, "other": "funds-grant/" + "0" * 32},
    "a record that does not exist": {**OWN, "other": "odd-box/" + "0" * 32},
    "a record in a path": {**OWN, "other": "odd-box/../party/ann"},
    "a list too long": {**OWN, "items": [1] * 5},
    "a list of lists": {**OWN, "items": [[1]]},
    "a huge list": {**OWN, "items": [1] * 100_000},
    "a map in place of a list": {**OWN, "items": {"0": 1}},
    "deep nesting": {**OWN, "items": [[[[[[[[1]]]]]]]]},
}


@pytest.mark.parametrize("name", DATA)
def test_hostile_data_is_refused(name: str) -> None:
    play = Play()
    before = contents(play.stage.state)
    assert play.do(play.create(DATA[name])) == "DATA_INVALID"
    assert contents(play.stage.state) == before


def test_operations_of_the_wrong_form_are_refused() -> None:
    play = Play()
    record = play.made()
    assert play.do(play.create(OWN, version="1")) == "TX_SCHEMA_INVALID"
    assert play.do(play.create([])) == "TX_SCHEMA_INVALID"
    assert play.do(play.create(OWN, kind="../x")) == "TX_SCHEMA_INVALID"
    assert play.do(play.act("sys/params")) == "TX_SCHEMA_INVALID"
    assert play.do(play.act(record, name="Work")) == "TX_SCHEMA_INVALID"
    assert play.do(play.create(OWN, kind="vault")) == "SERVICE_UNKNOWN"
    assert play.do(play.create(OWN, version=2)) == "VERSION_NOT_CURRENT"
    assert play.do(play.act("odd-box/" + "0" * 32)) == "RECORD_UNKNOWN"
    assert play.do(play.act(record, name="nothing")) == "TRANSITION_UNKNOWN"
    assert play.do(play.act(record, name="ring")) == "NOT_AUTHORISED"
    assert play.do(play.act(record, name="knock")) == "NOT_AUTHORISED"
    assert play.do(play.act(record), by="ben") == "NOT_AUTHORISED"


def test_the_effects_of_a_transaction_are_capped_over_its_operations() -> None:
    play = Play(effect(*[{"e": "set", "field": "kept", "value": tree("1")}] * 20))
    record = play.made()
    assert play.do(*[play.act(record)] * 3) == ""
    assert play.do(*[play.act(record)] * 4) == "TOO_MANY_EFFECTS"


def test_the_cost_of_a_transaction_is_capped_over_its_operations() -> None:
    text = "1 in [" + ", ".join(["size(agency_of(me))"] * 40) + "] || true"
    play = Play(box({"guards": [[f"g{i}", tree(text)] for i in range(16)]}))
    record = play.made()
    assert play.do(play.act(record)) == ""
    reason, lines = lines_run(lambda: play.do(*[play.act(record)] * 6))
    assert reason == "EXPRESSION_COST"
    assert lines < 1_000_000


def test_recursion_through_create_and_fire_ends() -> None:
    source = SOURCE.replace(
        "      create: {to: open, by: role(clerk)}",
        "      create: {to: open, by: role(clerk), internal: true,"
        " do: [{create: {type: slip, data: {box: data.box, amount: data.amount}}}]}",
    )
    from ledger import canonical

    play = Play(canonical.decode(definition(source).encode()))
    record = play.made()
    assert play.do(play.create({"box": record, "amount": 1}, "slip")) == "TOO_DEEP"


def test_two_records_that_fire_each_other_end() -> None:
    knock = {"e": "fire", "record": tree("data.other"), "transition": "knock", "input": {}}
    made = effect(knock)
    made["types"]["box"]["transitions"]["knock"]["effects"] = [knock]
    link = {"e": "set", "field": "other", "value": tree("input.other")}
    made["types"]["box"]["transitions"]["shut"]["to"] = "open"
    made["types"]["box"]["states"], made["types"]["box"]["final"] = ["open"], []
    form = deepcopy(made["types"]["box"]["fields"]["other"])
    made["types"]["box"]["transitions"]["shut"] |= {"input": {"other": form}, "effects": [link]}
    play = Play(made)
    first = play.made()
    second = play.made({**OWN, "other": first})
    assert play.do(play.act(first, {"other": second}, "shut")) == ""
    assert play.do(play.act(first)) == "REENTERED"


def test_a_flood_of_timers_is_capped_and_carried_over() -> None:
    made = effect({"e": "timer", "name": "ring", "at": tree("now + 1")})
    play = Play(made)
    records = [play.made() for _ in range(210)]
    for record in records:
        assert play.do(play.act(record)) == ""
    assert len(play.stage.advance(5)) == 200
    assert len(play.stage.advance(0)) == 10
    assert play.stage.advance(0) == []


def test_a_timer_that_sets_itself_again_fires_once_a_block() -> None:
    made = effect({"e": "timer", "name": "ring", "at": tree("0")})
    ring = made["types"]["box"]["transitions"]["ring"]
    ring["effects"] = [{"e": "timer", "name": "ring", "at": tree("0")}]
    play = Play(made)
    record = play.made()
    assert play.do(play.act(record)) == ""
    for _ in range(3):
        assert [entry["status"] for entry in play.stage.advance(1)] == ["fired"]


def test_a_sum_beyond_2_53_is_refused() -> None:
    play = Play()
    record = play.made()
    assert play.do(play.create({"box": record, "amount": BIG}, "slip")) == ""
    assert play.do(play.create({"box": record, "amount": 1}, "slip")) == "AGGREGATE_OVERFLOW"


SOURCES = {
    "empty": "",
    "a list": "- a",
    "a bomb of aliases": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
    "deep nesting": "[" * 5_000,
    "deep mappings": "{a: " * 3_000,
    "a tag": "service: !!python/object/apply:os.system [ls]",
    "twice the same name": "service: a\nservice: b",
    "null bytes": "service: \x00",
    "too large": "#" * 300_000,
    "not YAML": "a: [",
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_hostile_source_is_a_problem(name: str) -> None:
    try:
        source = parse(SOURCES[name])
    except SourceError as error:
        message = error.problem.message
    else:
        made, problems = compile_source(source)
        assert made is None
        message = problems[0].message
    assert message


JUNK: list[Any] = [
    None,
    0,
    -1,
    True,
    "x",
    "role(",
    "a and and b",
    [],
    [[]],
    {},
    {"a": {"b": 1}},
    [None],
    "$",
]


def test_no_part_of_a_source_makes_the_compiler_stumble() -> None:
    places = list(_places(yaml.safe_load(SOURCE), ()))
    chance = random.Random(7)
    for place in places:
        for junk in chance.sample(JUNK, 4):
            value = yaml.safe_load(SOURCE)
            part = value
            for step in place[:-1]:
                part = part[step]
            part[place[-1]] = deepcopy(junk)
            if chance.random() < 0.2 and isinstance(part, dict):
                part["extra"] = deepcopy(chance.choice(JUNK))
            source = parse(yaml.safe_dump(value))
            made, problems = compile_source(source)
            assert (made is None) == bool(problems)
            if made is not None:
                lint(made, source)


def _places(value: Any, path: tuple[Any, ...]) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in items:
        yield (*path, key)
        if isinstance(part, dict | list):
            yield from _places(part, (*path, key))

"""What an adversarial reading of transitions as code asked for: who pays, what is shared."""

from __future__ import annotations

from typing import Any

from ledger.ids import ChainId, Height
from ledger.registry import scope as scopes
from ledger.registry.act import Act, Refused, new_record, scope_of
from ledger.registry.catalogue import LOADED, Loaded
from ledger.registry.code import ROOM
from ledger.registry.definition import (
    CREATE,
    PushEffect,
    SetEffect,
    Transition,
    Type,
)
from ledger.registry.effects import perform
from ledger.registry.fields import CodeField, ListField, RecordField
from ledger.registry.meter import Meter
from ledger.registry.plan import plan
from ledger.state import State
from ledger.store import MemoryStore
from ledger.tree import Tree
from node.authoring.stage import Stage
from tests.ledger.registry.specimen import CLERK, act, create, do, kind, service, stage


def test_effects_are_written_when_guards_have_held() -> None:
    """They were written, unpaid, with guards that no record ever passed."""
    guards = (("open", ["==", ["get", ["var", "input"], "name"], ["str", "open"]]),)
    fields: dict[str, Any] = {"name": CodeField(required=False)}
    transition = act(
        guards=guards,
        input={"name": CodeField()},
        effects=(SetEffect("name", ["get", ["var", "input"], "name"]),),
    )
    chain = stage(service({"box": kind(fields, acts={"go": transition})}))
    record, _ = create(chain, "box")
    LOADED.clear()
    assert do(chain, record, "go", {"name": "shut"})["reason"] == "GUARD_FAILED"
    (known,) = [kept for kept, _ in LOADED._younger.values()]
    (made,) = known.programs.plans.values()
    assert made.effects is None
    assert do(chain, record, "go", {"name": "open"})["reason"] == ""
    assert made.effects is not None


def test_a_program_holds_a_bounded_number_of_branches() -> None:
    """Sixteen guards just below the bound of one branch took ten milliseconds to write, unpaid."""
    tree: list[Any] = ["==", ["var", "now"], ["int", 1]]
    for _ in range(7):
        tree = ["==", tree, ["bool", True]]
    guards = tuple((f"g{number}", tree) for number in range(16))
    few, many = (
        plan(kind(), Transition(to="open", guards=guards[:count]), {}).guards for count in (2, 16)
    )
    assert few is not None
    assert many is not None
    sizes = [len(made.__code__.co_code) for made in (few, many)]
    assert sizes[0] < sizes[1] < 4 * sizes[0]
    assert 2 * 20 < ROOM < 16 * 20


def test_a_transition_is_known_by_its_type_too() -> None:
    """The same object in two types ran the first one's code for both."""
    transition = Transition(to="open", by=CLERK, effects=(SetEffect("x", ["var", "signers"]),))
    fields: tuple[Any, Any] = (ListField(required=False), CodeField(required=False))
    types = {
        name: Type(fields={"x": field}, states=("open",), transitions={CREATE: transition})
        for name, field in zip("ab", fields, strict=True)
    }
    definition = service(types)
    for order in ("ab", "ba"):
        loaded = Loaded(definition)
        found = {name: _made(loaded, name, transition) for name in order}
        assert found == {"a": ("", 995), "b": ("DATA_INVALID", 998)}


def _made(loaded: Loaded, name: str, transition: Transition) -> tuple[str, int]:
    """Why a record could not be made, or empty; and what is left."""
    act = Act(
        draft=State(MemoryStore(), Tree.empty()).draft(),
        chain=ChainId("c"),
        height=Height(1),
        now=1,
        tx="",
        party="ann",
        agency="ann",
        meter=Meter(999),
        effects_left=9,
        record_bytes_max=9_999,
    )
    record = new_record(act, f"odd-{name}/{'0' * 32}", f"odd-{name}", "odd@1")
    scope = scope_of(act, loaded, record, {}, ("ann",))
    try:
        perform(act, loaded, loaded.definition.types[name], None, record, transition, scope)
    except Refused as refused:
        return refused.reason, act.meter.left
    return "", act.meter.left


def test_what_one_act_does_to_a_list_another_record_does_not_see() -> None:
    """Records that expressions read are parsed once for all acts; lists of theirs may be set."""
    names = ListField(required=False)
    other = ["get", ["var", "data"], "other"]
    take = act(effects=(SetEffect("names", ["get", ["call", "get", [other]], "names"]),))
    push = act(effects=(PushEffect("names", ["str", "more"]),))
    fields: dict[str, Any] = {
        "names": names,
        "other": RecordField(types=("odd-box",), required=False),
    }
    chain = stage(service({"box": kind(fields, acts={"take": take, "push": push})}))
    first, _ = create(chain, "box", {"names": ["one"]})
    second, _ = create(chain, "box", {"other": first})
    for name in ("take", "push", "take", "push", "push"):
        assert do(chain, second, name)["reason"] == ""
    assert do(chain, first, "push")["reason"] == ""
    assert _names(chain, first) == ["one", "more"]
    assert _names(chain, second) == ["one", "more", "more"]


def test_a_long_record_is_not_kept_parsed() -> None:
    scopes._shared.cache_clear()
    other = ["get", ["var", "data"], "other"]
    look = act(guards=(("named", ["has", ["call", "get", [other]], "names"]),))
    fields: dict[str, Any] = {
        "names": ListField(required=False),
        "other": RecordField(types=("odd-box",), required=False),
    }
    chain = stage(service({"box": kind(fields, acts={"look": look})}))
    for length, kept in ((60, 0), (1, 1)):
        names = [f"{'x' * 60}{n:02}" for n in range(length)]
        first, entry = create(chain, "box", {"names": names})
        assert entry["reason"] == ""
        second, _ = create(chain, "box", {"other": first})
        assert do(chain, second, "look")["reason"] == ""
        assert scopes._shared.cache_info().currsize == kept


def _names(chain: Stage, record: str) -> Any:
    return chain.value(f"record/{record}")["data"]["names"]

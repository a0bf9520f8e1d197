"""Definitions kept in their loaded form: what is kept changes no answer, and goes when it must."""

from __future__ import annotations

import gc
import weakref

import pytest

from ledger.registry import catalogue
from ledger.registry.catalogue import LOADED, LoadedDefinitions
from ledger.registry.code import ROOM
from ledger.registry.definition import Definition, Transition, loaded
from ledger.registry.evaluate import evaluate
from ledger.registry.meter import Meter
from ledger.registry.plan import plan
from tests.ledger.registry.scopes import scope
from tests.ledger.registry.specimen import act, create, do, kind, service, stage

GUARDS = (("known", ["call", "holds", [["var", "me"], ["str", "clerk"]]]),)


def test_what_is_asked_for_in_turn_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty-five versions in use in turn were each decoded again at every act."""
    chain = stage(service({"box": kind(acts={"touch": act(guards=GUARDS)})}))
    record, _ = create(chain, "box")
    decoded: list[bytes] = []

    def counted(data: bytes) -> Definition:
        decoded.append(data)
        return loaded(data)

    monkeypatch.setattr(catalogue, "loaded", counted)
    LOADED.clear()
    for _ in range(5):
        assert do(chain, record, "touch")["reason"] == ""
    assert len(decoded) == 1
    size = len(decoded[0])
    monkeypatch.setattr(catalogue, "LOADED_BYTES_MAX", 2 * 80 * size)
    kept = LoadedDefinitions()
    data = {b"definition/%d" % number: decoded[0] for number in range(400)}
    decoded.clear()
    for _ in range(10):
        for number in range(70):
            kept.find(_State(data), str(number))
    assert len(decoded) == 70
    for number in range(400):
        kept.find(_State(data), str(number))
    assert len(kept._younger) + len(kept._older) <= 161


class _State:
    """Definitions and nothing else."""

    def __init__(self, data: dict[bytes, bytes]) -> None:
        self._data = data

    def get(self, key: bytes) -> bytes | None:
        return self._data.get(key)

    def has(self, key: bytes) -> bool:
        return key in self._data

    def read(self, raw_key: bytes) -> bytes | None:
        return None


def test_functions_go_with_their_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    """They stayed, trees and all, when their definition was forgotten and loaded again."""
    chain = stage(service({"box": kind(acts={"touch": act(guards=GUARDS)})}))
    record, _ = create(chain, "box")
    LOADED.clear()
    assert do(chain, record, "touch")["reason"] == ""
    (known,) = [kept for kept, _ in LOADED._younger.values()]
    (plan,) = known.programs.plans.values()
    assert plan.guards is not None
    gone = weakref.ref(plan.guards)
    del known, plan
    LOADED.clear()
    gc.collect()
    assert gone() is None


def test_a_long_branch_that_never_runs_is_never_made() -> None:
    """Nobody has paid for its nodes."""
    seen = scope({}, {}, Meter(1_000))
    items = [["int", 1]] * ROOM
    long = ["==", ["list", [*items, ["no such node"]]], ["null"]]
    assert evaluate(["or", ["bool", True], long], seen) is True
    assert evaluate(["and", ["bool", False], long], seen) is False
    assert evaluate(["if", ["bool", True], ["int", 1], long], seen) == 1
    for tree in (["or", ["bool", False], long], ["if", ["bool", False], ["int", 1], long]):
        with pytest.raises(KeyError):
            evaluate(tree, seen)


def test_a_long_guard_that_is_never_reached_is_never_made() -> None:
    long = ["==", ["list", [["now"]] * (ROOM + 1)], ["null"]]  # no such node
    first = ("first", ["==", ["var", "now"], ["int", 0]])
    transition = Transition(to="open", guards=(first, ("second", long)))
    made = plan(kind(), transition, {})
    assert made.guards is not None
    assert made.guards(scope({"now": 1}, {}, Meter(100))) == "first"
    with pytest.raises(KeyError):
        made.guards(scope({"now": 0}, {}, Meter(100)))

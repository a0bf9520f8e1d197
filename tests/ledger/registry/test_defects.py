"""A mistake in the rules refuses the act that met it, and stops no chain."""

from __future__ import annotations

from typing import Any, Never

import msgspec
import pytest

from ledger import executor
from ledger.registry import acting, timers
from ledger.registry.definition import TimerEffect
from ledger.registry.meter import ExpressionRefused
from ledger.store import StoreDamaged
from node.authoring.stage import Stage
from tests.conftest import DEFECTS
from tests.ledger.registry.specimen import act, create, do, kind, service, stage

SOON = ["+", ["var", "now"], ["int", 60]]


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a daemon."""
    monkeypatch.setattr(executor, "DEFECTS", DEFECTS)


def boxes() -> tuple[Stage, str]:
    """A box with a bell that rings in a minute."""
    acts = {
        "touch": act(effects=(TimerEffect("ring", SOON),)),
        "ring": act(None, auto=True),
    }
    chain = stage(service({"box": kind(acts=acts)}))
    record, _ = create(chain, "box")
    assert do(chain, record, "touch")["reason"] == ""
    return chain, record


def failing(error: BaseException) -> Any:
    """A function that raises."""

    def fail(*_: Any, **__: Any) -> Never:
        raise error

    return fail


@pytest.mark.parametrize(
    "error", [KeyError("x"), AttributeError(), ZeroDivisionError(), TypeError()]
)
@pytest.mark.usefixtures("caught")
def test_an_act(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, record = boxes()
    before = chain.value(f"record/{record}")
    with monkeypatch.context() as patched:
        patched.setattr(acting, "act_on", failing(error))
        entry = do(chain, record, "touch")
    assert (entry["status"], entry["reason"], entry["results"]) == ("refused", "INTERNAL_ERROR", [])
    assert chain.value(f"record/{record}") == before
    assert do(chain, record, "touch")["reason"] == ""


@pytest.mark.usefixtures("caught")
def test_what_was_written_before_the_mistake_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, record = boxes()
    real = acting.act_on

    def half(*given: Any) -> Never:
        real(*given)
        raise LookupError

    before = chain.value(f"record/{record}")
    monkeypatch.setattr(acting, "act_on", half)
    assert do(chain, record, "touch")["reason"] == "INTERNAL_ERROR"
    assert chain.value(f"record/{record}") == before


@pytest.mark.usefixtures("caught")
def test_a_timer_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would meet the mistake again in every block, and no block would ever be made."""
    chain, record = boxes()
    with monkeypatch.context() as patched:
        patched.setattr(timers, "perform", failing(KeyError("x")))
        (entry,) = [e for e in chain.advance(61) if e["kind"] == "timer"]
    assert (entry["status"], entry["reason"]) == ("refused", "INTERNAL_ERROR")
    assert chain.value(f"record/{record}")["timers"] == {}
    assert chain.advance(61) == []
    assert do(chain, record, "touch")["reason"] == ""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RecursionError(),
        StoreDamaged("x"),
        OSError(),
        KeyboardInterrupt(),
        AssertionError("a row is missing"),
        msgspec.DecodeError("a row is damaged"),
        ValueError("a row is damaged"),
    ],
)
@pytest.mark.usefixtures("caught")
def test_what_depends_on_the_machine_stops_the_node(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, record = boxes()
    monkeypatch.setattr(acting, "act_on", failing(error))
    with pytest.raises(type(error)):
        do(chain, record, "touch")


@pytest.mark.usefixtures("caught")
def test_mistakes_are_told_and_what_costs_too_much_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, record = boxes()
    told: list[Exception] = []
    monkeypatch.setattr(chain._executor, "report", told.append)
    monkeypatch.setattr(acting, "act_on", failing(KeyError("x")))
    do(chain, record, "touch")
    assert [type(error) for error in told] == [KeyError]
    monkeypatch.setattr(acting, "act_on", failing(ExpressionRefused("EXPRESSION_COST", "")))
    assert do(chain, record, "touch")["reason"] == "EXPRESSION_COST"
    assert len(told) == 1


def test_tests_see_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, record = boxes()
    monkeypatch.setattr(acting, "act_on", failing(KeyError("x")))
    with pytest.raises(KeyError):
        do(chain, record, "touch")

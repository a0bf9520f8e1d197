"""Timers: transitions that fire by block time, once, in one order (registry.md, section 6)."""

from __future__ import annotations

from typing import Any

from ledger.registry.act import (
    TIMER_TABLE,
    Act,
    Refused,
    check_transition,
    form_of,
    timer_key,
)
from ledger.registry.catalogue import record_value
from ledger.registry.effects import perform
from ledger.registry.evaluate import ExpressionRefused
from ledger.state import State


def due(state: State, now: int, limit: int) -> list[tuple[int, str, str]]:
    """(due, record, name) of the first timers that are due at `now` (seconds), in firing order."""
    found: list[tuple[int, str, str]] = []
    for key, _ in state.scan(TIMER_TABLE):
        at = int.from_bytes(key[1:9], "big")
        if at > now or len(found) == limit:
            break
        record, _, name = key[9:].decode("ascii").partition("\x00")
        found.append((at, record, name))
    return found


def fire(act: Act, at: int, record: str, name: str) -> tuple[str, dict[str, Any]]:
    """Fire one timer: (reason or empty, result). A refused one does not come back.

    The caller has made a savepoint; on a reason it rolls back to it and calls `drop`.
    """
    try:
        before = record_value(act.draft, record)
        assert before is not None, record
        assert before["timers"].get(name) == at, (record, name)
        loaded, kind = form_of(act, before)
        timers = {key: value for key, value in before["timers"].items() if key != name}
        after = {**before, "data": dict(before["data"]), "timers": timers}
        transition = check_transition(before, kind, name, acting=record)
        seq = perform(act, loaded, kind, before, after, transition, {}, ())
    except Refused as refused:
        return refused.reason, refused.results[0] if refused.results else {}
    except ExpressionRefused as refused:
        return refused.reason, {}
    return "", {"record": record, "seq": seq, "state": transition.to}


def drop(act: Act, at: int, record: str, name: str) -> None:
    """Take a timer that was refused off its record, so that it is tried once."""
    act.draft.write(timer_key(at, record, name), None)

"""Timers: transitions that fire by block time, once, in one order (registry.md, section 6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ledger.registry.act import (
    TIMER_TABLE,
    Act,
    Refused,
    check_transition,
    form_of,
    scope_of,
    write_timers,
)
from ledger.registry.catalogue import record_value
from ledger.registry.effects import perform
from ledger.registry.meter import ExpressionRefused
from ledger.registry.scope import read_record
from ledger.state import Draft, State

POSTPONED_SECONDS: Final = 86_400
_PASSING: Final = ("DEFINITION_SUSPENDED", "LOCKED")
"""Refusals that say nothing of the record itself."""


def due(state: State, now: int, limit: int) -> list[tuple[int, str, str]]:
    """(due, record, name) of the first timers that are due at `now` (seconds), in firing order."""
    return due_from(state.scan(TIMER_TABLE), now, limit)


def first(state: State) -> tuple[int, str, str] | None:
    """(due, record, name) of the timer that fires next, if any waits."""
    for key, _ in state.scan(TIMER_TABLE):
        return _parsed(key)
    return None


def _parsed(key: bytes) -> tuple[int, str, str]:
    """(due, record, name) of a row's key."""
    record, _, name = key[9:].decode("ascii").partition("\x00")
    return int.from_bytes(key[1:9], "big"), record, name


def due_from(
    rows: Iterator[tuple[bytes, bytes]], now: int, limit: int
) -> list[tuple[int, str, str]]:
    """(due, record, name) of the first of these rows of the table that are due at `now`."""
    found: list[tuple[int, str, str]] = []
    for key, _ in rows:
        row = _parsed(key)
        if row[0] > now or len(found) == limit:
            break
        found.append(row)
    return found


def waits(draft: Draft, at: int, record: str, name: str) -> bool:
    """Whether a timer still waits: one that fired before it in this block may have changed it."""
    value = record_value(draft, record)
    return value is not None and value["timers"].get(name) == at


def fire(act: Act, at: int, record: str, name: str) -> tuple[str, dict[str, Any]]:
    """Fire one timer that `waits`: (reason or empty, result).

    The caller has made a savepoint; on a reason it rolls back to it and calls `put_off`.
    """
    try:
        before = read_record(act.draft, record, act.meter)
        assert before is not None, record
        assert before["timers"].get(name) == at, (record, name)
        loaded, kind = form_of(act, before)
        timers = {key: value for key, value in before["timers"].items() if key != name}
        after = {**before, "data": dict(before["data"]), "timers": timers}
        transition = check_transition(before, kind, name, acting=None)
        if not transition.auto:  # a migration may have made it an act of people
            return "NOT_AUTO", {}
        scope = scope_of(act, loaded, after, {}, ())
        seq = perform(act, loaded, kind, before, after, transition, scope)
    except Refused as refused:
        return refused.reason, refused.results[0] if refused.results else {}
    except ExpressionRefused as refused:
        return refused.reason, {}
    return "", act.result(record, seq, transition.to)


def put_off(act: Act, at: int, record: str, name: str, reason: str) -> None:
    """What becomes of a timer that was refused: gone for good, or tried again a day later.

    Deadlines outlive a suspension of their service and a lock of their record.
    """
    before = record_value(act.draft, record)
    assert before is not None, record
    timers = {key: value for key, value in before["timers"].items() if key != name}
    if reason in _PASSING:
        timers[name] = act.now + POSTPONED_SECONDS
    write_timers(act, before, timers)

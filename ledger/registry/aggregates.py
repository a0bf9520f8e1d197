"""Aggregates over child records, kept as they change, and complete links (registry.md, section 3).

Nothing scans the children: an act changes at most the aggregates of the parents that it names.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Any

import msgspec

from ledger import canonical
from ledger.crypto import sha256
from ledger.ids import INTEGER_MAX
from ledger.registry.catalogue import Loaded, Parent
from ledger.registry.meter import Meter
from ledger.state import Draft, Reader

ORDERED_MAX = 256
"""Children that an ordered aggregate may count: their order is part of its value."""


class Total(msgspec.Struct, frozen=True):
    """Value of `aggregate/<record id>/<name>`."""

    count: int
    sum: int
    ordered: tuple[tuple[int, str], ...] = ()
    """(value, child) in rising order, where the aggregate is ordered."""


_EMPTY = Total(0, 0)
_total = msgspec.json.Decoder(Total)


class Link(msgspec.Struct, frozen=True):
    """Value of `link/<record id>/<type>.<field>`: everything that ever linked here, in order."""

    count: int
    hash: str


_link = msgspec.json.Decoder(Link)


def aggregate_key(record: str, name: str) -> bytes:
    """State key of an aggregate."""
    return f"aggregate/{record}/{name}".encode("ascii")


def link_key(record: str, child_type: str, field: str) -> bytes:
    """State key of a complete link."""
    return f"link/{record}/{child_type}.{field}".encode("ascii")


def total(state: Reader, record: str, name: str) -> Total:
    """An aggregate of a record; empty when no child ever counted."""
    value = state.get(aggregate_key(record, name))
    return _EMPTY if value is None else _total.decode(value)


def update(
    draft: Draft,
    meter: Meter,
    loaded: Loaded,
    child: str,
    before: dict[str, Any] | None,
    after: dict[str, Any],
) -> str:
    """Take a child's change into its parents' aggregates; empty, or why it cannot be taken.

    Raises ExpressionRefused when `meter` cannot pay for it.
    """
    for parent in loaded.parents.get(after["type"], ()):
        old = None if before is None else _contribution(parent, before)
        new = _contribution(parent, after)
        if old == new:
            continue
        if old is not None:
            reason = _change(draft, meter, parent, child, old, -1)
            if reason:
                return reason
        if new is not None:
            reason = _change(draft, meter, parent, child, new, 1)
            if reason:
                return reason
    return ""


def _contribution(parent: Parent, record: dict[str, Any]) -> tuple[str, int] | None:
    """(parent record, value) that a child adds, or None when it does not count."""
    aggregate = parent.aggregate
    linked = record["data"].get(aggregate.link)
    if record["state"] not in aggregate.states or linked is None:
        return None
    value = 0 if aggregate.field is None else record["data"].get(aggregate.field)
    if value is None or not linked.startswith(f"{parent.type}/"):
        return None  # a child may name parents of several types, each with its own aggregates
    return (linked, value)


def _change(
    draft: Draft, meter: Meter, parent: Parent, child: str, part: tuple[str, int], sign: int
) -> str:
    record, value = part
    stored = draft.get(aggregate_key(record, parent.name))
    meter.spend(5 + (0 if stored is None else len(stored) // 256))
    known = total(draft, record, parent.name)
    ordered = list(known.ordered)
    if parent.aggregate.ordered:
        if sign > 0:
            if len(ordered) >= ORDERED_MAX:
                return "AGGREGATE_FULL"
            insort(ordered, (value, child))
        else:
            del ordered[bisect_left(ordered, (value, child))]
    changed = Total(known.count + sign, known.sum + sign * value, tuple(ordered))
    if abs(changed.sum) > INTEGER_MAX:
        return "AGGREGATE_OVERFLOW"
    draft.put(aggregate_key(record, parent.name), canonical.encode(changed))
    return ""


def extend_link(draft: Draft, parent: str, child_type: str, field: str, child: str) -> None:
    """Note in the parent that `child` links to it through `field`."""
    key = link_key(parent, child_type, field)
    value = draft.get(key)
    known = Link(0, "0" * 64) if value is None else _link.decode(value)
    rolled = sha256(bytes.fromhex(known.hash) + sha256(child.encode("ascii"))).hex()
    draft.put(key, canonical.encode(Link(known.count + 1, rolled)))

"""Balances and aggregates against recomputation from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.ids import INTEGER_MAX, Height
from ledger.registry import aggregates, balances
from ledger.registry.catalogue import Loaded
from ledger.registry.meter import Meter
from ledger.state import Draft, State
from ledger.store import MemoryStore
from ledger.tree import Tree
from tests.services.hostile import definition

ACCOUNTS = ("a#x", "a#y", "party:b#x")
UNIT = "odd.coin"
FIRST = Height(1)


@dataclass
class Cause:
    """An act as the balances see it."""

    draft: Draft
    height: Height = FIRST
    tx: str = ""
    timer: str = ""


def draft() -> Draft:
    return State(MemoryStore(), Tree.empty()).draft()


_amounts = st.integers(-2, 50) | st.sampled_from([INTEGER_MAX, INTEGER_MAX - 20])
_moves = st.lists(
    st.tuples(
        st.sampled_from(["mint", "burn", "move"]),
        st.sampled_from(ACCOUNTS),
        st.sampled_from(ACCOUNTS),
        _amounts,
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(_moves)
def test_nothing_is_lost_won_or_owed(moves: list[tuple[str, str, str, int]]) -> None:
    cause = Cause(draft())
    held, minted, burned = dict.fromkeys(ACCOUNTS, 0), 0, 0
    for kind, source, target, amount in moves:
        if kind == "mint":
            reason = balances.mint(cause, UNIT, target, amount)
            wanted = "SUPPLY_OVERFLOW" if minted + amount > INTEGER_MAX else ""
        elif kind == "burn":
            reason = balances.burn(cause, UNIT, source, amount)
            wanted = "BALANCE_SHORT" if held[source] < amount else ""
        else:
            reason = balances.move(cause, UNIT, source, target, amount)
            wanted = "BALANCE_SHORT" if held[source] < amount else ""
        assert reason == ("AMOUNT_NEGATIVE" if amount < 0 else wanted)
        if reason:
            continue
        if kind != "mint":
            held[source] -= amount
        if kind != "burn":
            held[target] += amount
        minted += amount if kind == "mint" else 0
        burned += amount if kind == "burn" else 0
        assert {a: balances.balance(cause.draft, UNIT, a) for a in ACCOUNTS} == held
        assert min(held.values()) >= 0
        known = balances.supply(cause.draft, UNIT)
        assert (known.minted, known.burned) == (minted, burned)
        assert sum(held.values()) == minted - burned


LOADED = Loaded(definition())
BOXES = ("odd-box/" + "0" * 32, "odd-box/" + "1" * 32)


def slip(number: int, box: str | None, amount: int, state: str) -> dict[str, Any]:
    data = {"amount": amount} if box is None else {"amount": amount, "box": box}
    record = f"odd-slip/{number:032x}"
    return {"id": record, "type": "odd-slip", "state": state, "data": data}


def update(made: Draft, before: dict[str, Any] | None, after: dict[str, Any]) -> str:
    return aggregates.update(made, Meter(10**6), LOADED, after["id"], before, after)


_changes = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from([*BOXES, None]),
        st.integers(-9, 9) | st.just(INTEGER_MAX),
        st.sampled_from(["open", "gone"]),
    ),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(_changes)
def test_aggregates_are_what_a_count_from_scratch_gives(
    changes: list[tuple[int, str | None, int, str]],
) -> None:
    made, slips = draft(), dict[int, dict[str, Any]]()
    for number, box, amount, state in changes:
        made.savepoint()
        after = slip(number, box, amount, state)
        before = slips.get(number)
        reason = update(made, before, after)
        if reason:
            assert reason == "AGGREGATE_OVERFLOW"
            made.rollback()
            continue
        slips[number] = after
        for owner in BOXES:
            counted = sorted(
                (child["data"]["amount"], child["id"])
                for child in slips.values()
                if child["state"] == "open" and child["data"].get("box") == owner
            )
            total = aggregates.total(made, owner, "slips")
            assert total.count == len(counted)
            assert total.sum == sum(value for value, _ in counted)
            assert list(total.ordered) == counted


def test_an_ordered_aggregate_is_full_at_256() -> None:
    made = draft()
    for number in range(aggregates.ORDERED_MAX):
        after = slip(number, BOXES[0], 1, "open")
        assert update(made, None, after) == ""
    after = slip(999, BOXES[0], 1, "open")
    reason = update(made, None, after)
    assert reason == "AGGREGATE_FULL"


def test_a_complete_link_tells_order_and_number() -> None:
    made, other = draft(), draft()
    for children, target in ((("a", "b"), made), (("b", "a"), other)):
        for child in children:
            aggregates.extend_link(target, BOXES[0], "odd-slip", "box", child)
    key = aggregates.link_key(BOXES[0], "odd-slip", "box")
    assert made.get(key) != other.get(key)
    assert b'"count":2' in (made.get(key) or b"")

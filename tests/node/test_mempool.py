"""The mempool: order of arrival, bounds, shares, patience."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.admission import parse
from node.mempool import Limits, Mempool, Waiting
from tests.node.chains import Grown

GROWN = Grown()


def waiting(agency: str = "a", since_ms: int = 0, **sign: Any) -> Waiting:
    raw = GROWN.tx(**sign)
    admitted = parse(raw, GROWN.chain.parameters, GROWN.chain.id)
    return Waiting(admitted, agency, since_ms)


def size(item: Waiting) -> int:
    return len(item.admitted.transaction.raw)


def test_order_counts_and_bytes() -> None:
    pool = Mempool(Limits())
    items = [waiting(since_ms=number) for number in range(5)]
    for item in items:
        pool.add(item)
    assert list(pool.all()) == items
    assert (len(pool), pool.bytes) == (5, sum(map(size, items)))
    assert pool.candidates(10**9, 3) == items[:3]
    assert pool.candidates(size(items[0]) + size(items[1]), 10) == items[:2]
    assert pool.candidates(size(items[0]) - 1, 10) == []
    ids = [item.admitted.transaction.id for item in items]
    pool.remove([ids[0], ids[0], b"unknown" * 4])  # type: ignore[list-item]  # any bytes may come
    assert list(pool.all()) == items[1:]
    assert ids[0] not in pool
    assert pool.get(ids[1]) == items[1]
    pool.remove(ids)
    assert (len(pool), pool.bytes, pool.of_agency("a")) == (0, 0, 0)


def test_marks_are_held_while_a_transaction_waits() -> None:
    pool = Mempool(Limits())
    item = waiting()
    transaction = item.admitted.transaction
    assert pool.same_mark(transaction.iss, transaction.jti) is None
    pool.add(item)
    assert pool.same_mark(transaction.iss, transaction.jti) == transaction.id
    with pytest.raises(AssertionError):
        pool.add(item)
    pool.remove([transaction.id])
    assert pool.same_mark(transaction.iss, transaction.jti) is None


def test_bounds_in_number_and_bytes() -> None:
    item = waiting()
    pool = Mempool(Limits(transactions_max=1, bytes_max=10**6))
    assert pool.room_for("a", size(item)) == ""
    pool.add(item)
    assert pool.room_for("b", 1) == "MEMPOOL_FULL"
    pool = Mempool(Limits(transactions_max=10, bytes_max=size(item)))
    assert pool.room_for("a", size(item) + 1) == "MEMPOOL_FULL"
    pool.add(item)
    assert pool.room_for("a", 1) == "MEMPOOL_FULL"


def test_an_agency_may_fill_half_alone_and_its_share_when_others_are_there() -> None:
    pool = Mempool(Limits(transactions_max=8, agency_share=4))
    for _ in range(5):
        assert pool.room_for("greedy", 1) == ""
        pool.add(waiting("greedy"))
    assert pool.room_for("greedy", 1) == "MEMPOOL_QUOTA"
    for _ in range(2):
        assert pool.room_for("modest", 1) == ""
        pool.add(waiting("modest"))
    assert pool.room_for("modest", 1) == "MEMPOOL_QUOTA"
    assert pool.room_for("third", 1) == ""


def test_expiry_is_at_exp() -> None:
    pool = Mempool(Limits())
    early, late = waiting(exp=100), waiting(exp=101)
    pool.add(early)
    pool.add(late)
    assert pool.expire(99_999) == []
    assert pool.expire(100_000) == [early.admitted.transaction.id]
    assert list(pool.all()) == [late]
    earlier = waiting(exp=50)
    pool.add(earlier)
    assert pool.expire(50_000) == [earlier.admitted.transaction.id]
    pool.remove([late.admitted.transaction.id])
    assert pool.expire(10**9) == []
    last = waiting(exp=900)
    pool.add(last)
    assert pool.expire(899_999) == []
    assert pool.expire(900_000) == [last.admitted.transaction.id]


def test_patience_counts_from_arrival_or_the_last_excuse() -> None:
    pool = Mempool(Limits())
    assert not pool.overdue(10**9, 0)
    pool.add(waiting(since_ms=1_000))
    assert not pool.overdue(5_000, 4_000)
    assert pool.overdue(5_001, 4_000)
    pool.excuse(5_001)
    assert not pool.overdue(9_001, 4_000)
    assert pool.overdue(9_002, 4_000)


def test_offers_are_the_oldest_of_a_certain_age() -> None:
    pool = Mempool(Limits())
    items = [waiting(since_ms=number * 100) for number in range(4)]
    for item in items:
        pool.add(item)
    ids = [item.admitted.transaction.id for item in items]
    assert pool.older_than(1_100, 1_000, 10) == ids[:2]
    assert pool.older_than(5_000, 1_000, 3) == ids[:3]
    assert pool.older_than(0, 1_000, 3) == []

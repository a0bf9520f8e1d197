"""Acts that wait for signatures in vain leave the state, a few a block, and are not forgotten."""

from __future__ import annotations

import pytest

from ledger.registry import pending as waiting
from ledger.registry.definition import CountPolicy
from node.authoring.stage import Stage
from tests.ledger.registry.specimen import CLERK, act, approve, create, do, kind, service, stage

MONTH = waiting.PENDING_SECONDS


@pytest.fixture
def chain() -> Stage:
    two = CountPolicy(2, CLERK)
    return stage(service({"a": kind(acts={"go": act(two)})}), "bob", "cyd")


def begin(chain: Stage, record: str) -> str:
    name: str = do(chain, record, "go")["results"][0]["pending"]
    return name


def left(chain: Stage) -> list[str]:
    """Acts in the state."""
    prefix = b"spending/"
    return [key[len(prefix) :].decode() for key, _ in chain.state.store.scan(prefix)]


def rows(chain: Stage) -> int:
    return len(list(chain.state.store.scan(waiting.EXPIRY_TABLE)))


def test_an_act_that_waited_in_vain_is_removed_and_remembered(chain: Stage) -> None:
    record, _ = create(chain, "a")
    name = begin(chain, record)
    chain.advance(MONTH - 10)
    assert left(chain) == [f"{record}/{name}"]
    chain.advance(20)
    assert left(chain) == []
    assert rows(chain) == 0
    gone = waiting.find_expired(chain.state, record, name)
    assert gone is not None
    assert (gone.transition, gone.signers) == ("go", ("ann",))
    assert approve(chain, record, name, "bob")["reason"] == "PENDING_EXPIRED"
    assert approve(chain, record, "0" * 16, "bob")["reason"] == "PENDING_UNKNOWN"
    assert chain.value(f"record/{record}")["seq"] == 0


def test_what_is_done_leaves_no_row_behind(chain: Stage) -> None:
    record, _ = create(chain, "a")
    name = begin(chain, record)
    assert rows(chain) == 1
    assert approve(chain, record, name, "bob")["results"][0]["seq"] == 1
    assert (left(chain), rows(chain)) == ([], 0)
    chain.advance(MONTH + 1)
    assert waiting.find_expired(chain.state, record, name) is None
    assert approve(chain, record, name, "bob")["reason"] == "PENDING_UNKNOWN"


def test_a_further_signature_does_not_put_the_end_off(chain: Stage) -> None:
    three = service({"a": kind(acts={"go": act(CountPolicy(3, CLERK))})})
    slow = stage(three, "bob", "cyd")
    record, _ = create(slow, "a")
    name = begin(slow, record)
    slow.advance(MONTH - 100)
    assert approve(slow, record, name, "bob")["reason"] == ""
    assert rows(slow) == 1
    slow.advance(100)
    assert left(slow) == []


def test_a_flood_is_removed_so_many_a_block(chain: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "EXPIRED_PER_BLOCK_MAX", 3)
    record, _ = create(chain, "a")
    names = [begin(chain, record) for _ in range(7)]
    chain.time_ms += (MONTH + 10) * 1000
    for expected in (4, 1, 0):
        chain.advance(0)
        assert len(left(chain)) == expected == rows(chain)
    for name in names:
        assert waiting.find_expired(chain.state, record, name) is not None


def test_one_that_was_not_removed_yet_has_expired_all_the_same(
    chain: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "EXPIRED_PER_BLOCK_MAX", 0)
    record, _ = create(chain, "a")
    name = begin(chain, record)
    chain.advance(MONTH + 10)
    assert left(chain) == [f"{record}/{name}"]
    assert approve(chain, record, name, "bob")["reason"] == "PENDING_EXPIRED"

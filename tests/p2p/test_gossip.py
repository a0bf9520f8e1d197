"""Gossip of transactions: push, offer, ask, answer."""

from __future__ import annotations

from ledger.crypto import sha256
from ledger.ids import TxId
from p2p.gossip import ANSWER_BYTES_MAX, BATCH_BYTES_MAX, Gossip, GossipLimits, Outgoing
from p2p.wire import IDS_MAX, Fault, Have, Transactions, Want


def raw_of(number: int, size: int = 300) -> bytes:
    return number.to_bytes(8, "big") + bytes(size - 8)


def id_of(raw: bytes) -> TxId:
    return TxId(sha256(raw))


class Node:
    """A gossip with a pool beside it that admits everything."""

    def __init__(self, limits: GossipLimits | None = None) -> None:
        self.pool: dict[TxId, bytes] = {}
        self.gossip = Gossip(self.pool.get, limits)

    def submit(self, raw: bytes, now_ms: int) -> list[Outgoing]:
        self.pool[id_of(raw)] = raw
        return self.gossip.admitted(id_of(raw), raw, now_ms)

    def hear(self, peer: str, outgoing: Outgoing, now_ms: int) -> list[Outgoing]:
        actions = self.gossip.received(peer, outgoing.message, now_ms)
        self.pool.update(actions.check)
        return actions.replies

    def tick(self, now_ms: int) -> list[Outgoing]:
        return self.gossip.tick(now_ms, lambda: list(self.pool))


def test_pushes_go_to_everyone_in_a_batch_after_five_milliseconds() -> None:
    node = Node()
    node.gossip.tick(0, list)
    assert node.submit(raw_of(1), 100) == []
    assert node.submit(raw_of(2), 103) == []
    assert node.gossip.due_ms() == 105
    assert node.tick(104) == []
    assert node.tick(105) == [Outgoing(None, Transactions((raw_of(1), raw_of(2))))]
    assert node.gossip.due_ms() == 1_000
    assert node.tick(106) == []


def test_a_batch_is_pushed_when_it_is_full() -> None:
    node, pushed = Node(), []
    for number in range(10):
        pushed += node.submit(raw_of(number, 60_000), 0)
    sizes = [
        sum(map(len, out.message.raws)) for out in pushed if isinstance(out.message, Transactions)
    ]
    assert sizes == [240_000, 240_000]
    assert max(sizes) <= BATCH_BYTES_MAX
    node, pushed = Node(), []
    for number in range(IDS_MAX + 1):
        pushed += node.submit(raw_of(number, 20), 0)
    assert len(pushed) == 1


def test_what_came_from_a_peer_is_checked_once_and_not_pushed_on() -> None:
    node = Node()
    push = Transactions((raw_of(1), raw_of(2), raw_of(1)))
    actions = node.gossip.received("a", push, 0)
    assert actions.check == [(id_of(raw_of(n)), raw_of(n)) for n in (1, 2)]
    assert actions.replies == []
    assert actions.faults == []
    assert node.gossip.received("b", push, 1).check == []
    assert all(isinstance(out.message, Have) for out in node.tick(2_000))


def test_offers_every_second_and_at_most_2000_ids() -> None:
    node = Node()
    for number in range(IDS_MAX + 5):
        node.pool[id_of(raw_of(number))] = raw_of(number)
    (offer,) = node.tick(0)
    assert offer == Outgoing(None, Have(tuple(node.pool)[:IDS_MAX]))
    assert node.tick(999) == []
    assert len(node.tick(1_000)) == 1
    node.pool.clear()
    assert node.tick(2_000) == []


def test_pending_is_asked_only_when_an_offer_is_due() -> None:
    node = Node()
    calls: list[int] = []

    def pending() -> list[TxId]:
        calls.append(1)
        return []

    for now in range(0, 3_000, 10):
        node.gossip.tick(now, pending)
    assert len(calls) == 3


def test_offer_ask_answer() -> None:
    giver, taker = Node(), Node()
    giver.submit(raw_of(1), 0)
    giver.submit(raw_of(2), 0)
    taker.hear("giver", Outgoing(None, Transactions((raw_of(2),))), 10)
    offer = next(out for out in giver.tick(1_000) if isinstance(out.message, Have))
    (want,) = taker.hear("giver", offer, 1_001)
    assert want == Outgoing("giver", Want((id_of(raw_of(1)),)))
    (answer,) = giver.hear("taker", want, 1_002)
    assert answer == Outgoing("taker", Transactions((raw_of(1),)))
    assert taker.hear("giver", answer, 1_003) == []
    assert taker.pool == {id_of(raw): raw for raw in (raw_of(1), raw_of(2))}
    assert taker.hear("giver", offer, 2_000) == []


def test_nothing_is_asked_twice_within_five_seconds_and_the_silent_one_waits_longer() -> None:
    node = Node()
    offer = Outgoing(None, Have((id_of(raw_of(1)),)))
    assert len(node.hear("a", offer, 0)) == 1
    assert node.hear("b", offer, 4_999) == []
    assert node.hear("a", offer, 5_000) == []
    assert len(node.hear("b", offer, 5_000)) == 1
    assert node.hear("a", offer, 9_999) == []
    assert len(node.hear("a", offer, 10_000)) == 1
    assert len(node.hear("a", offer, 20_000)) == 1


def test_after_a_session_ends_its_requests_are_made_elsewhere() -> None:
    node = Node()
    offer = Outgoing(None, Have((id_of(raw_of(1)),)))
    assert len(node.hear("a", offer, 0)) == 1
    node.gossip.peer_down("b")
    assert node.hear("b", offer, 1) == []
    node.gossip.peer_down("a")
    assert len(node.hear("b", offer, 2)) == 1


def test_what_the_pool_holds_is_not_asked_for() -> None:
    node = Node()
    node.pool[id_of(raw_of(1))] = raw_of(1)
    assert node.hear("a", Outgoing(None, Have((id_of(raw_of(1)),))), 0) == []


def test_a_bad_form_is_remembered_and_charged() -> None:
    node = Node()
    bad = raw_of(1)
    assert len(node.gossip.received("a", Transactions((bad,)), 0).check) == 1
    node.gossip.bad(id_of(bad))
    assert node.hear("b", Outgoing(None, Have((id_of(bad),))), 1) == []
    again = node.gossip.received("b", Transactions((bad,)), 2)
    assert again.check == []
    assert [fault.reason for fault in again.faults] == [Fault.TRANSACTION_INVALID]


def test_what_is_not_admissible_yet_may_come_again_and_costs_nothing() -> None:
    node = Node()
    early = raw_of(1)
    node.gossip.received("a", Transactions((early,)), 0)
    node.gossip.forget(id_of(early))
    actions = node.gossip.received("b", Have((id_of(early),)), 1)
    assert actions.replies == [Outgoing("b", Want((id_of(early),)))]
    actions = node.gossip.received("b", Transactions((early,)), 2)
    assert len(actions.check) == 1
    assert actions.faults == []


def test_an_answer_is_bounded_whatever_is_wanted() -> None:
    node = Node()
    for number in range(60):
        raw = raw_of(number, 65_536)
        node.pool[id_of(raw)] = raw
    answers = node.hear("a", Outgoing(None, Want(tuple(node.pool))), 0)
    sizes = [
        sum(map(len, out.message.raws)) for out in answers if isinstance(out.message, Transactions)
    ]
    assert sum(sizes) == ANSWER_BYTES_MAX
    assert max(sizes) <= BATCH_BYTES_MAX
    one = next(iter(node.pool))
    (answer,) = node.hear("a", Outgoing(None, Want((one,) * IDS_MAX)), 0)
    assert answer.message == Transactions((node.pool[one],))
    assert node.hear("a", Outgoing(None, Want((TxId(bytes(32)),))), 0) == []


def test_every_memory_is_bounded_and_loses_its_oldest() -> None:
    node = Node(GossipLimits(seen_max=10, bad_max=5, asked_max=5))
    ids = [id_of(raw_of(n)) for n in range(100)]
    for n in range(100):
        node.gossip.received("a", Transactions((raw_of(n),)), 0)
        node.gossip.received("a", Have((id_of(raw_of(1_000 + n)),)), 0)
    for tx_id in ids:
        node.gossip.bad(tx_id)
    gossip = node.gossip
    assert list(gossip._bad) == ids[-5:]
    assert (len(gossip._seen), len(gossip._asked)) == (0, 5)
    for n in range(100, 200):
        node.gossip.received("a", Transactions((raw_of(n),)), 0)
    assert list(gossip._seen) == [id_of(raw_of(n)) for n in range(190, 200)]

"""The peer book: dialling, accounts, bans, and which session stays."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p.outbox import Outbox, OutboxLimits
from p2p.peers import Backoff, CostLimits, PeerBook, PeerMember, Standing, parse_address
from p2p.strangers import StrangerLimits, Strangers
from p2p.wire import OFFER_PREFIX

MEMBERS = [PeerMember(name, f"127.0.0.1:{port}", name.encode()) for port, name in enumerate("abcd")]
LIMITS = CostLimits(soft=1_000, hard=10_000)


def book(me: str = "b") -> PeerBook:
    return PeerBook(me, MEMBERS, LIMITS)


def test_members_are_found_by_name_and_by_leaf() -> None:
    peers = book()
    assert [peer.name for peer in peers.peers] == ["a", "c", "d"]
    assert peers.peer("b") is None
    assert peers.by_fingerprint(MEMBERS[2].fingerprint) == MEMBERS[2]
    assert peers.by_fingerprint(MEMBERS[1].fingerprint) is None, "ourselves"
    assert peers.by_fingerprint(bytes(32)) is None


def test_update_names_the_sessions_to_close_and_keeps_accounts() -> None:
    peers = book()
    peers.charge("a", 500, 0)
    stale = peers.update(
        [MEMBERS[0], MEMBERS[1], PeerMember("c", "x:1", b"new key"), PeerMember("e", "x:2", b"e")]
    )
    assert sorted(stale) == ["c", "d"]
    assert peers.cost("a", 0) == 500
    assert [peer.name for peer in peers.peers] == ["a", "c", "e"]
    assert peers.by_fingerprint(MEMBERS[3].fingerprint) is None


def test_update_refuses_and_changes_nothing() -> None:
    peers = book()
    for bad in (
        [MEMBERS[0], MEMBERS[0]],
        [MEMBERS[0], PeerMember("z", "x:1", MEMBERS[0].certificate)],
        [PeerMember(f"m{n}", "x:1", b"%d" % n) for n in range(1_025)],
    ):
        with pytest.raises(ValueError):
            peers.update(bad)
    assert [peer.name for peer in peers.peers] == ["a", "c", "d"]


@pytest.mark.parametrize("low", "abc")
def test_when_both_dial_both_keep_the_one_dialled_by_the_lower_index(low: str) -> None:
    lower, higher = book(low), book("d")
    # The lower one's dial arrives second, then first.
    assert lower.new_session_stays("d", new_dialled=True)
    assert higher.new_session_stays(low, new_dialled=False)
    assert not lower.new_session_stays("d", new_dialled=False)
    assert not higher.new_session_stays(low, new_dialled=True)


def test_an_observer_ranks_after_every_member() -> None:
    observer = book("observer")
    assert len(observer.peers) == 4
    assert observer.new_session_stays("d", new_dialled=False)


def test_backoff_doubles_to_its_limit_and_is_scaled_by_the_fraction() -> None:
    peers = book()
    delays = [peers.dial_delay_ms("a", 0, 1.0) for _ in range(9)]
    assert delays == [0, 250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]
    assert peers.dial_delay_ms("a", 0, 0.0) == 5_000
    for _ in range(200):
        assert peers.dial_delay_ms("a", 0, 1.0) == 10_000


@pytest.mark.parametrize(("lived_ms", "delay_ms"), [(60_000, 250), (59_999, 2_000)])
def test_a_long_session_resets_the_backoff_and_a_short_one_does_not(
    lived_ms: int, delay_ms: int
) -> None:
    peers = book()
    for _ in range(5):
        peers.dial_delay_ms("a", 0, 1.0)
    peers.session_up("a", 1_000)
    peers.session_down("a", 1_000 + lived_ms)
    assert peers.dial_delay_ms("a", 90_000, 1.0) == (delay_ms if lived_ms >= 60_000 else 4_000)
    peers.session_down("gone", 0)


def test_the_account_decays_by_half() -> None:
    peers = book()
    peers.charge("a", 800, 0)
    assert peers.cost("a", 10_000) == pytest.approx(400)
    assert peers.cost("a", 15_000) == pytest.approx(800 / 2**1.5)
    assert peers.cost("a", 10**9) == pytest.approx(0)
    assert peers.cost("c", 10_000) == 0


@settings(deadline=None)
@given(st.lists(st.integers(0, 3_000), max_size=30))
def test_decay_does_not_depend_on_how_often_it_is_looked_at(steps: list[int]) -> None:
    often, once = book(), book()
    often.charge("a", 900, 0)
    once.charge("a", 900, 0)
    now = 0
    for step in steps:
        now += step
        often.charge("a", 0, now)
    assert often.cost("a", now) == pytest.approx(once.cost("a", now))


def test_bytes_and_messages_have_a_price() -> None:
    peers = book()
    assert peers.received("a", 10_240, 5, 0) is Standing.GOOD
    assert peers.cost("a", 0) == 15


def test_above_the_soft_limit_reading_pauses_until_the_account_is_back() -> None:
    peers = book()
    assert peers.charge("a", 1_000, 0) is Standing.GOOD
    assert peers.pause_ms("a", 0) == 0
    assert peers.charge("a", 1_000, 0) is Standing.SLOW
    assert peers.pause_ms("a", 0) == 10_000
    assert peers.cost("a", 10_000) <= 1_000


def test_traffic_alone_never_bans() -> None:
    """The smallest frames at full speed, 256 KiB a read, reading resumed whenever it may be."""
    peers, now = PeerBook("b", MEMBERS), 0
    for _ in range(200):
        assert peers.received("a", 262_144, 262_144 // 5, now) is not Standing.BANNED
        now += peers.pause_ms("a", now)
        assert peers.pause_ms("a", now) <= 1
    assert not peers.banned("a", now)


def test_bans_double_and_are_forgotten_after_a_long_peace() -> None:
    peers, now, bans = book(), 0, []
    for _ in range(8):
        assert peers.charge("a", 10_001, now) is Standing.BANNED
        bans.append(peers.banned_until_ms("a") - now)
        assert peers.banned("a", now)
        assert peers.dial_delay_ms("a", now, 0.0) == bans[-1]
        now = peers.banned_until_ms("a")
        assert not peers.banned("a", now)
        assert peers.cost("a", now) == 0
    seconds = [ban // 1_000 for ban in bans]
    assert seconds == [60, 120, 240, 480, 960, 1_920, 3_600, 3_600]
    assert peers.charge("a", 10_001, now + 3_600_000) is Standing.BANNED
    assert peers.banned_until_ms("a") == now + 3_660_000
    assert not peers.banned("c", now)


def test_last_seen_and_round_trip() -> None:
    peers = book()
    assert peers.last_seen_ms("a") is None
    peers.session_up("a", 5)
    peers.seen("a", 9, rtt_ms=3)
    peers.seen("a", 11)
    assert (peers.last_seen_ms("a"), peers.rtt_ms("a")) == (11, 3)


def test_backoff_is_configurable() -> None:
    peers = PeerBook("b", MEMBERS, LIMITS, Backoff(ms_min=10, ms_max=20, reset_after_ms=0))
    assert [peers.dial_delay_ms("a", 0, 1.0) for _ in range(4)] == [0, 10, 20, 20]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("node.example:443", ("node.example", 443)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:26656", ("::1", 26_656)),
    ],
)
def test_addresses(text: str, parsed: tuple[str, int]) -> None:
    assert parse_address(text) == parsed


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":1", "host:65536", "host:-1", "::1:1", "h:²"]
)
def test_addresses_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        parse_address(text)


# Outbox


def frame(channel: int, payload: bytes) -> bytes:
    return (len(payload) + 1).to_bytes(4, "big") + bytes([channel]) + payload


SMALL = OutboxLimits(frames_max=(2, 3, 3, 2))


def test_urgent_channels_leave_first_and_each_in_order() -> None:
    outbox = Outbox()
    for channel, payload in ((3, b"body"), (2, b"tx"), (1, b"v1"), (0, b"ping"), (1, b"v2")):
        assert outbox.put(frame(channel, payload)) == (True, 0)
    assert [taken[4:] for taken in outbox.take(10**6)] == [
        b"\x00ping",
        b"\x01v1",
        b"\x01v2",
        b"\x02tx",
        b"\x03body",
    ]
    assert not outbox
    assert outbox.pending_bytes == 0


def test_take_stops_at_its_bytes_but_gives_one_frame_at_least() -> None:
    outbox = Outbox()
    for _ in range(3):
        outbox.put(frame(1, bytes(100)))
    assert len(outbox.take(10)) == 1
    assert len(outbox.take(210)) == 2
    assert outbox.take(10) == []
    for channel in (1, 1, 2):
        outbox.put(frame(channel, bytes(100 if channel == 1 else 1)))
    assert len(outbox.take(120)) == 1, "the small one must not overtake the urgent one"


def test_a_full_consensus_queue_loses_its_oldest() -> None:
    outbox = Outbox(SMALL)
    results = [outbox.put(frame(1, bytes([n]))) for n in range(5)]
    assert results == [(True, 0)] * 3 + [(True, 1)] * 2
    assert [taken[5] for taken in outbox.take(1_000)] == [2, 3, 4]


def test_a_full_transactions_queue_loses_offers_then_the_new_frame() -> None:
    outbox = Outbox(SMALL)
    outbox.put(frame(2, b"t1"))
    outbox.put(frame(2, OFFER_PREFIX + b"old"))
    outbox.put(frame(2, b"t2"))
    assert outbox.put(frame(2, OFFER_PREFIX + b"new")) == (False, 1)
    assert outbox.put(frame(2, b"t3")) == (True, 1)
    assert outbox.put(frame(2, b"t4")) == (False, 1)
    assert [taken[5:] for taken in outbox.take(1_000)] == [b"t1", b"t2", b"t3"]


def test_bytes_are_bounded_too() -> None:
    outbox = Outbox()
    accepted = sum(outbox.put(frame(3, bytes(16_777_216))).accepted for _ in range(5))
    assert accepted == 1
    assert outbox.pending_bytes <= 33_554_432
    assert outbox.clear() == [0, 0, 0, 1]
    assert outbox.pending_bytes == 0


# Strangers


class Caller:
    def __init__(self, remote: str) -> None:
        self.remote = remote


def test_strangers_are_bounded_and_the_oldest_goes() -> None:
    strangers: Strangers[Caller] = Strangers(StrangerLimits(total_max=4, per_address_max=2))
    loris = [Caller("10.0.0.1") for _ in range(4)]
    assert [strangers.add(caller) for caller in loris] == [None, None, loris[0], loris[1]]
    good = Caller("10.0.0.2")
    assert strangers.add(good) is None
    assert strangers.add(Caller("10.0.0.3")) is None
    assert strangers.add(Caller("10.0.0.4")) is loris[2]
    assert len(strangers) == 4
    strangers.remove(good)
    strangers.remove(good)
    assert len(strangers) == 3

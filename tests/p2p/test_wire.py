"""Messages of channels 0 and 2."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p import wire
from p2p.wire import (
    CONTROL,
    TRANSACTIONS,
    Control,
    Fault,
    Gossip,
    Have,
    Hello,
    PeerFault,
    Ping,
    Pong,
    Transactions,
    Want,
)

ID = bytes(range(32))
MESSAGES: list[tuple[int, Control | Gossip]] = [
    (CONTROL, Hello(1, "office:" + "0" * 32, "node-ä", "muniment/0.1.0")),
    (CONTROL, Ping(0)),
    (CONTROL, Pong(2**53 - 1)),
    (TRANSACTIONS, Transactions((b"a.b.c", b"d"))),
    (TRANSACTIONS, Have((ID,))),
    (TRANSACTIONS, Want(())),
]
pack = msgspec.msgpack.encode


@pytest.mark.parametrize(("channel", "message"), MESSAGES)
def test_round_trip(channel: int, message: Control | Gossip) -> None:
    assert wire.decode(channel, wire.encode(message)) == message


def test_the_arrays_of_the_specification() -> None:
    assert wire.encode(Hello(1, "c:0", "n", "s")) == pack(["hello", 1, "c:0", "n", "s"])
    assert wire.encode(Pong(7)) == pack(["pong", 7])
    assert wire.encode(Transactions((b"x",))) == pack(["transactions", [b"x"]])
    assert wire.encode(Have((ID,))) == pack(["have", [ID]])
    assert wire.encode(Want((ID,))) == pack(["want", [ID]])
    assert wire.encode(Have((ID,))).startswith(wire.OFFER_PREFIX)
    assert not wire.encode(Want((ID,))).startswith(wire.OFFER_PREFIX)


@pytest.mark.parametrize(
    ("channel", "payload"),
    [
        (CONTROL, b""),
        (CONTROL, pack(["ping"])),
        (CONTROL, pack(["ping", 1, 2])),
        (CONTROL, pack(["ping", -1])),
        (CONTROL, pack(["ping", 2**53])),
        (CONTROL, pack(["ping", 1.0])),
        (CONTROL, pack(["have", []])),
        (CONTROL, pack(["hello", 1, "c" * 81, "n", "s"])),
        (CONTROL, pack(["ping", 1]) + b"\x00"),
        (CONTROL, b"\x92\xa4ping\xcc\x01"),  # 1, not in its shortest form
        (CONTROL, b"\x92\xa4pin\xff\x01"),  # not UTF-8
        (TRANSACTIONS, pack(["ping", 1])),
        (TRANSACTIONS, pack(["have", [ID[:31]]])),
        (TRANSACTIONS, pack(["have", [ID] * 2_001])),
        (TRANSACTIONS, pack(["want", [ID.decode("latin-1")]])),
        (TRANSACTIONS, pack(["transactions", [b""]])),
        (TRANSACTIONS, pack(["transactions", [bytes(262_145)]])),
        (TRANSACTIONS, b"\xc1" * 1_000),
        (TRANSACTIONS, b"\x91" * 4_000),
    ],
)
def test_refusals(channel: int, payload: bytes) -> None:
    with pytest.raises(PeerFault) as caught:
        wire.decode(channel, payload)
    assert caught.value.reason is Fault.MALFORMED
    assert caught.value.cost == 2_000


HEADS = [b"", *(wire.encode(message)[:-1] for _, message in MESSAGES)]


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([CONTROL, TRANSACTIONS]),
    st.sampled_from(HEADS),
    st.binary(max_size=80),
)
def test_any_bytes_are_refused_or_written_back_alike(
    channel: int, head: bytes, tail: bytes
) -> None:
    try:
        message = wire.decode(channel, head + tail)
    except PeerFault:
        return
    assert wire.encode(message) == head + tail


def test_every_fault_has_a_cost_and_a_reason() -> None:
    assert wire.FAULT_COST == {
        Fault.MALFORMED: 2_000,
        Fault.TOO_LARGE: 2_000,
        Fault.SIGNATURE_INVALID: 1_000,
        Fault.TRANSACTION_INVALID: 200,
        Fault.UNASKED_ANSWER: 200,
    }
    fault = PeerFault(Fault.SIGNATURE_INVALID, "vote of member 2")
    assert isinstance(fault, ValueError)
    assert str(fault) == "signature-invalid: vote of member 2"

"""Channels, their limits, the faults a peer is charged for, and the messages of channels 0 and 2.

Formats section 12 and peers.md. Messages are MessagePack arrays tagged by their name; a payload
that `encode` would not have written is refused, so every message has one encoding.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, TypeAlias

import msgspec

from ledger.ids import HASH_BYTES

PROTOCOL_VERSION: Final = 1

CONTROL: Final = 0
CONSENSUS: Final = 1
TRANSACTIONS: Final = 2
BLOCKS: Final = 3

PAYLOAD_BYTES_MAX: Final[tuple[int, ...]] = (1_024, 1_048_576, 4_194_304, 16_777_216)
"""Largest payload of each channel; the index is the channel."""

IDS_MAX: Final = 2_000
"""Ids in one offer or request; transactions in one push."""
TRANSACTION_BYTES_MAX: Final = 262_144
"""Compiled upper bound of the genesis parameter transaction_bytes_max (formats section 2)."""


class Fault(StrEnum):
    """A stateless fault: whoever sent it is wrong whatever blocks he or we have seen."""

    MALFORMED = "malformed"
    TOO_LARGE = "too-large"
    SIGNATURE_INVALID = "signature-invalid"
    TRANSACTION_INVALID = "transaction-invalid"
    UNASKED_ANSWER = "unasked-answer"


FAULT_COST: Final[dict[Fault, int]] = {
    Fault.MALFORMED: 2_000,
    Fault.TOO_LARGE: 2_000,
    Fault.SIGNATURE_INVALID: 1_000,
    Fault.TRANSACTION_INVALID: 200,
    # An honest answer may arrive after we gave up waiting, so this one is cheap.
    Fault.UNASKED_ANSWER: 200,
}
"""What each fault adds to the account of its sender (peers.md, Cost account)."""


class PeerFault(ValueError):
    """A peer broke the protocol: drop what it sent and charge it `cost`."""

    def __init__(self, reason: Fault, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason: Final = reason
        self.cost: Final = FAULT_COST[reason]


_Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
_Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=80)]
_Id: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
_Ids: TypeAlias = Annotated[tuple[_Id, ...], msgspec.Meta(max_length=IDS_MAX)]
_Raw: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=1, max_length=TRANSACTION_BYTES_MAX)]


class _Message(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag_field="type"
):
    """Base of all messages."""


class Hello(_Message, frozen=True, tag="hello"):
    """First frame each way."""

    version: _Natural
    chain: _Text
    node_name: _Text
    software: _Text


class Ping(_Message, frozen=True, tag="ping"):
    """Are you there? Sent after silence."""

    nonce: _Natural


class Pong(_Message, frozen=True, tag="pong"):
    """Answer to a Ping, with its nonce."""

    nonce: _Natural


class Transactions(_Message, frozen=True, tag="transactions"):
    """Whole transactions, compact JWS bytes: pushed on admission, or wanted."""

    raws: Annotated[tuple[_Raw, ...], msgspec.Meta(max_length=IDS_MAX)]


class Have(_Message, frozen=True, tag="have"):
    """Ids of pending transactions on offer, 32 bytes each."""

    ids: _Ids


class Want(_Message, frozen=True, tag="want"):
    """Ids of the transactions the sender asks for, 32 bytes each."""

    ids: _Ids


Control: TypeAlias = Hello | Ping | Pong
Gossip: TypeAlias = Transactions | Have | Want

_encoder = msgspec.msgpack.Encoder()
_control: msgspec.msgpack.Decoder[Control] = msgspec.msgpack.Decoder(Control)
_gossip: msgspec.msgpack.Decoder[Gossip] = msgspec.msgpack.Decoder(Gossip)

OFFER_PREFIX: Final = _encoder.encode(Have(()))[:-1]
"""How every encoded Have begins: an outbox may throw offers away first, unparsed."""


def encode(message: Control | Gossip) -> bytes:
    """MessagePack of the message: the payload of a frame of channel 0 or 2."""
    return _encoder.encode(message)


def decode_control(payload: bytes) -> Control:
    """Parse a payload of channel 0. Raises PeerFault unless re-encoding gives the same bytes."""
    try:
        message = _control.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PeerFault(Fault.MALFORMED, f"control message: {error}") from None
    if _encoder.encode(message) != payload:
        raise PeerFault(Fault.MALFORMED, "control message: not in its one encoding")
    return message


def decode_gossip(payload: bytes) -> Gossip:
    """Parse a payload of channel 2. Raises PeerFault unless re-encoding gives the same bytes."""
    try:
        message = _gossip.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PeerFault(Fault.MALFORMED, f"transactions message: {error}") from None
    if _encoder.encode(message) != payload:
        raise PeerFault(Fault.MALFORMED, "transactions message: not in its one encoding")
    return message


def decode(channel: int, payload: bytes) -> Control | Gossip:
    """Parse a payload of channel 0 or 2. Raises PeerFault on what `encode` would not write."""
    assert channel in (CONTROL, TRANSACTIONS), f"channel {channel} is not decoded here"
    return decode_control(payload) if channel == CONTROL else decode_gossip(payload)

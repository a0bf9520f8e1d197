"""Messages of channel 3: blocks and bodies (docs/spec/peers.md).

They carry no signature: bodies are checked against ids, blocks against certificates.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from ledger.block import Block
from ledger.certificate import Certificate

BLOCKS_MAX = 64
ANSWER_BYTES_MAX = 8 * 1024 * 1024
IDS_MAX = 10_000


class _Message(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag_field="type"
):
    """Base of all messages."""


class WantBodies(_Message, frozen=True, tag="want-bodies"):
    """Ask for transactions of a proposal that are missing here."""

    block_hash: bytes
    ids: tuple[bytes, ...]


class Bodies(_Message, frozen=True, tag="bodies"):
    """Transactions of a proposal, compact JWS."""

    block_hash: bytes
    transactions: tuple[bytes, ...]


class WantBlock(_Message, frozen=True, tag="want-block"):
    """Ask for an uncommitted block that a prepare certificate names."""

    block_hash: bytes


class BlockAnswer(_Message, frozen=True, tag="block"):
    """An uncommitted block; its hash is checked by whoever asked."""

    block: Block


class WantBlocks(_Message, frozen=True, tag="want-blocks"):
    """Ask for committed blocks from height `start` on."""

    start: int
    count: int


class Blocks(_Message, frozen=True, tag="blocks"):
    """Committed blocks in rising height from `start`, each with a certificate for it."""

    start: int
    blocks: tuple[tuple[Block, Certificate], ...]


Message: TypeAlias = WantBodies | Bodies | WantBlock | BlockAnswer | WantBlocks | Blocks

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """MessagePack of the message."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """Parse one message. Raises ValueError on anything that `encode` would not have written."""
    try:
        message = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(f"blocks message: {error}") from None
    if _encoder.encode(message) != data:
        raise ValueError("blocks message: not in its one encoding")
    return message

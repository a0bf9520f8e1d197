"""What members say to each other about consensus (docs/spec/protocol.md, section 2).

Every message is a MessagePack array tagged by its name. `encode(decode(b)) == b` or the bytes are
refused, so a message has one encoding. Signed by `signer`: votes and proposals over the vote text,
everything else over the message text of its body (the message with an empty signature).
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from ledger.certificate import Certificate, Phase, message_text, vote_text
from ledger.ids import BlockHash, ChainId, Epoch, Height, View

VIEW_MAX = 2**32
HEIGHT_MAX = 2**53


class _Message(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag_field="type"
):
    """Base of all messages."""


class Propose(_Message, frozen=True, tag="propose"):
    """PRE-PREPARE: the primary's block for (view, height); bodies travel by id."""

    epoch: int
    view: int
    height: int
    header: bytes
    """Canonical JSON."""
    block_hash: bytes
    """SHA-256 of header; checked on receipt."""
    commit: Certificate
    transaction_ids: tuple[bytes, ...]
    evidence: tuple[bytes, ...]
    signer: int
    signature: bytes


class Vote(_Message, frozen=True, tag="vote"):
    """PREPARE or COMMIT for one block."""

    epoch: int
    phase: Phase
    view: int
    height: int
    block_hash: bytes
    signer: int
    signature: bytes


class ViewChange(_Message, frozen=True, tag="view-change"):
    """VIEW-CHANGE: I leave every view below `view`; these are the highest certificates I hold."""

    epoch: int
    view: int
    committed: Certificate
    """Commit certificate of the highest height."""
    highest: Certificate
    """Prepare or commit certificate of the highest rank (view, height) ever held in this epoch."""
    signer: int
    signature: bytes


class NewView(_Message, frozen=True, tag="new-view"):
    """NEW-VIEW: exactly a quorum of VIEW-CHANGEs; every backup recomputes what follows."""

    epoch: int
    view: int
    view_changes: tuple[ViewChange, ...]
    """In strictly rising order of signer."""
    signer: int
    signature: bytes


class Checkpoint(_Message, frozen=True, tag="checkpoint"):
    """A signature of the checkpoint note over header hashes 0..height (C2SP tlog-checkpoint)."""

    epoch: int
    height: int
    root: bytes
    signer: int
    signature: bytes


class Status(_Message, frozen=True, tag="status"):
    """Where I stand; whoever is ahead answers with what I lack. Repairs every loss."""

    epoch: int
    view: int
    """Highest view I have asked for or installed."""
    installed: bool
    """Whether I hold that view's NEW-VIEW (view 0 always)."""
    committed: int
    """Height of my last committed block."""
    prepared: bool
    """Whether I hold a prepare certificate for committed + 1 in this view."""
    signer: int
    signature: bytes


class Heartbeat(_Message, frozen=True, tag="heartbeat"):
    """The primary is alive and has nothing to propose."""

    epoch: int
    view: int
    committed: int
    signer: int
    signature: bytes


class Decided(_Message, frozen=True, tag="decided"):
    """A commit certificate; unsigned, because it proves itself."""

    certificate: Certificate


Signed: TypeAlias = Propose | Vote | ViewChange | NewView | Checkpoint | Status | Heartbeat
Message: TypeAlias = Signed | Decided

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
        raise ValueError(f"consensus message: {error}") from None
    if _encoder.encode(message) != data:
        raise ValueError("consensus message: not in its one encoding")
    return message


def signed_text(message: Signed, chain: ChainId) -> bytes:
    """The text that `message.signature` covers. A Checkpoint signs its note (ledger/note.py)."""
    if isinstance(message, Propose):
        phase = Phase.PROPOSE
    elif isinstance(message, Vote):
        phase = message.phase
    else:
        body = _encoder.encode(msgspec.structs.replace(message, signature=b""))
        kind = str(type(message).__struct_config__.tag)
        return message_text(chain, Epoch(message.epoch), kind, body)
    return vote_text(
        chain,
        Epoch(message.epoch),
        phase,
        View(message.view),
        Height(message.height),
        BlockHash(message.block_hash),
    )

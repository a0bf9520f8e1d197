"""What a replica must remember over a crash: table `w` of the store (docs/spec/protocol.md, 7).

Everything here is written, synced, before the message that it protects is said.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from consensus.messages import NewView, Propose, ViewChange, Vote
from ledger.certificate import Certificate, Phase

PREFIX = b"w"
HIGHEST = b"whighest"
VIEW = b"wview"
SCHEDULE = b"xleader"
_VOTE = b"wvote"
_PROPOSE = b"wpropose"
_PHASES = {Phase.PREPARE: b"p", Phase.COMMIT: b"c"}


class ViewRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where the replica stands in the view change."""

    epoch: int
    view: int
    installed: bool
    new_view: NewView | None
    own_view_change: ViewChange | None


class Restored(msgspec.Struct, frozen=True):
    """The records of a store, parsed."""

    highest: Certificate | None
    view: ViewRecord | None
    votes: tuple[Vote, ...]
    proposals: tuple[Propose, ...]


def vote_key(vote: Vote) -> bytes:
    """Key of a vote: height first, so that commit deletes a range in order."""
    return (
        _VOTE + vote.height.to_bytes(8, "big") + vote.view.to_bytes(8, "big") + _PHASES[vote.phase]
    )


def propose_key(propose: Propose) -> bytes:
    """Key of a proposal that this node made."""
    return _PROPOSE + propose.height.to_bytes(8, "big") + propose.view.to_bytes(8, "big")


def encode_view(record: ViewRecord) -> bytes:
    """MessagePack."""
    return msgspec.msgpack.encode(record)


def encode_certificate(certificate: Certificate) -> bytes:
    """MessagePack."""
    return msgspec.msgpack.encode(certificate)


def encode_statement(statement: Vote | Propose) -> bytes:
    """MessagePack."""
    return msgspec.msgpack.encode(statement)


def restore(entries: Iterable[tuple[bytes, bytes]]) -> Restored:
    """Parse table `w`. Raises ValueError on a record that this version did not write."""
    highest: Certificate | None = None
    view: ViewRecord | None = None
    votes: list[Vote] = []
    proposals: list[Propose] = []
    try:
        for key, value in entries:
            if key == HIGHEST:
                highest = msgspec.msgpack.decode(value, type=Certificate)
            elif key == VIEW:
                view = msgspec.msgpack.decode(value, type=ViewRecord)
            elif key.startswith(_VOTE):
                votes.append(msgspec.msgpack.decode(value, type=Vote))
            elif key.startswith(_PROPOSE):
                proposals.append(msgspec.msgpack.decode(value, type=Propose))
    except msgspec.DecodeError as error:
        raise ValueError(f"vote store: {error}") from None
    return Restored(highest, view, tuple(votes), tuple(proposals))

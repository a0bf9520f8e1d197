"""The validator set of an epoch and its quorum arithmetic (docs/spec/formats.md, section 5)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec

from ledger import base64url, canonical
from ledger.crypto import sha256
from ledger.ids import INTEGER_MAX, PUBLIC_KEY_BYTES, Epoch, Hash, MemberIndex


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One validator: whose it is, the keys it speaks with and where it listens."""

    agency: str
    name: str
    vote_key: str
    """Ed25519 public key, base64url."""
    transport_certificate: str
    """Self-signed X.509 certificate, DER, base64url."""
    address: str
    """host:port of the peer listener."""

    def vote_key_bytes(self) -> bytes:
        """The vote key, 32 bytes."""
        return base64url.decode(self.vote_key)


def quorum_size(n: int) -> int:
    """q = ceil((n + f + 1) / 2): two quorums share at least one correct member for any n."""
    return (n + faults_tolerated(n) + 2) // 2


def faults_tolerated(n: int) -> int:
    """f = floor((n - 1) / 3), the Byzantine members that n members tolerate (PBFT, section 3)."""
    if n < 1:
        raise ValueError(f"a validator set needs at least one member, got {n}")
    return (n - 1) // 3


class ValidatorSet:
    """The members of one epoch, in the order that gives them their index."""

    def __init__(self, epoch: Epoch, members: tuple[Member, ...]) -> None:
        """Raises ValueError when empty, when two members share a vote key or a name, or when a
        vote key is not 32 bytes."""
        if not members:
            raise ValueError("a validator set needs at least one member")
        keys = [member.vote_key for member in members]
        names = [member.name for member in members]
        if len(set(keys)) != len(keys) or len(set(names)) != len(names):
            raise ValueError("two members of a validator set share a vote key or a name")
        self.epoch = epoch
        self.members = members
        self.vote_keys = tuple(member.vote_key_bytes() for member in members)
        if any(len(key) != PUBLIC_KEY_BYTES for key in self.vote_keys):
            raise ValueError("a vote key of a validator set is not 32 bytes")

    def __len__(self) -> int:
        return len(self.members)

    @property
    def f(self) -> int:
        """Byzantine members tolerated."""
        return faults_tolerated(len(self.members))

    @cached_property
    def quorum(self) -> int:
        """Votes that make a certificate."""
        return quorum_size(len(self.members))

    @property
    def weak_quorum(self) -> int:
        """f + 1: at least one of them is correct."""
        return self.f + 1

    def index_of_vote_key(self, public_key: bytes) -> MemberIndex | None:
        """The member that votes with `public_key` (32 bytes), if there is one."""
        for index, key in enumerate(self.vote_keys):
            if key == public_key:
                return MemberIndex(index)
        return None

    def to_json(self) -> dict[str, Any]:
        """The object whose canonical JSON is hashed."""
        return {
            "type": "muniment-validators-v1",
            "epoch": self.epoch,
            "members": [msgspec.to_builtins(member) for member in self.members],
        }

    @cached_property
    def hash(self) -> Hash:
        """validators_hash: SHA-256 of the canonical JSON."""
        return sha256(canonical.encode(self.to_json()))

    @classmethod
    def from_json(cls, value: Any) -> ValidatorSet:
        """Parse `to_json` output. Raises ValueError on any other shape."""
        try:
            document = msgspec.convert(value, _ValidatorsDocument)
        except msgspec.ValidationError as error:
            raise ValueError(f"validator set: {error}") from None
        if document.type != "muniment-validators-v1":
            raise ValueError(f"validator set: unknown type {document.type!r}")
        if not 0 <= document.epoch <= INTEGER_MAX:
            raise ValueError("validator set: epoch is out of range")
        return cls(Epoch(document.epoch), document.members)


class _ValidatorsDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    epoch: int
    members: tuple[Member, ...]

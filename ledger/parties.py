"""Parties and agencies as the state holds them (docs/spec/formats.md, section 8)."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

import msgspec

from ledger import base64url
from ledger.jwk import Jwk, Use
from ledger.state import Reader


class KeyStatus(StrEnum):
    """What has become of a key. Nothing leads back to ACTIVE."""

    ACTIVE = "active"
    RETIRED = "retired"
    REVOKED = "revoked"


class PartyStatus(StrEnum):
    """Whether a party may act. Revocation is final."""

    ACTIVE = "active"
    REVOKED = "revoked"


class PartyKey(msgspec.Struct, frozen=True):
    """A key of a party."""

    kid: str
    jwk: dict[str, str]
    status: KeyStatus

    @property
    def can_sign(self) -> bool:
        """Whether it is an Ed25519 key, whatever its status."""
        return self.jwk["use"] == Use.SIGNING.value

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return base64url.decode(self.jwk["x"])


class Party(msgspec.Struct, frozen=True):
    """Value of `party/<id>`; `agency` is its own id for an agency."""

    id: str
    agency: str
    status: PartyStatus
    keys: tuple[PartyKey, ...]
    seq: int
    prev: str

    def key(self, kid: str) -> PartyKey | None:
        """The key named `kid`, whatever its status."""
        for key in self.keys:
            if key.kid == kid:
                return key
        return None

    def active_keys(self) -> tuple[PartyKey, ...]:
        """Keys in force, in the order of registration."""
        return tuple(key for key in self.keys if key.status is KeyStatus.ACTIVE)


class KeyOwner(msgspec.Struct, frozen=True):
    """Value of `key/<kid>`: who has it, and since which height it has its status."""

    party: str
    status: KeyStatus
    height: int


class Agency(msgspec.Struct, frozen=True):
    """Value of `agency/<id>`."""

    id: str
    title_code: str
    recovery_key: dict[str, str]
    seq: int
    prev: str


_party_decoder = msgspec.json.Decoder(Party)
_owner_decoder = msgspec.json.Decoder(KeyOwner)
_agency_decoder = msgspec.json.Decoder(Agency)


def party_key(party: str) -> bytes:
    """State key of a party."""
    return b"party/" + party.encode("ascii")


def owner_key(kid: str) -> bytes:
    """State key of a kid."""
    return b"key/" + kid.encode("ascii")


def agency_key(agency: str) -> bytes:
    """State key of an agency."""
    return b"agency/" + agency.encode("ascii")


def find_party(state: Reader, party: str) -> Party | None:
    """The party, active or revoked."""
    value = state.get(party_key(party))
    return None if value is None else decode_party(value)


@lru_cache(maxsize=8_192)
def decode_party(value: bytes) -> Party:
    """A pure function of the bytes, asked for with the same ones by every transaction."""
    return _party_decoder.decode(value)


def find_owner(state: Reader, kid: str) -> KeyOwner | None:
    """Who registered `kid`, whatever its status."""
    value = state.get(owner_key(kid))
    return None if value is None else _owner_decoder.decode(value)


def find_agency(state: Reader, agency: str) -> Agency | None:
    """The agency's own entry."""
    value = state.get(agency_key(agency))
    return None if value is None else _agency_decoder.decode(value)


def active_signing_key(state: Reader, party: str, kid: str) -> bytes | None:
    """Public key (32 bytes) of an active signing key of `party`, or None."""
    found = find_party(state, party)
    key = None if found is None else found.key(kid)
    if key is None or key.status is not KeyStatus.ACTIVE or not key.can_sign:
        return None
    return key.public_key


def new_keys(jwks: tuple[Jwk, ...]) -> tuple[PartyKey, ...]:
    """Keys of a party from JWKs just registered."""
    return tuple(PartyKey(jwk.kid, jwk.to_json(), KeyStatus.ACTIVE) for jwk in jwks)


def party_fields(
    party: str, agency: str, status: PartyStatus, keys: tuple[PartyKey, ...]
) -> dict[str, object]:
    """The members of a party's value without `seq` and `prev` (ledger/records.py adds them)."""
    return {"id": party, "agency": agency, "status": status, "keys": keys}

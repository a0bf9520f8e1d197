"""The genesis document, which fixes a chain's first agencies, members and parameters.

Format: docs/spec/formats.md, section 2. The document's canonical JSON is hashed, and the hash is
what everybody pins, so a document is kept exactly as its authors signed it.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Final

import msgspec

from ledger import base64url, canonical
from ledger.crypto import (
    Ed25519Verifier,
    Verifier,
    ed25519_thumbprint,
    is_valid_public_key,
    sha256,
)
from ledger.ids import (
    CHAIN_NAME,
    CODE,
    INTEGER_MAX,
    PARTY_ID,
    PUBLIC_KEY_BYTES,
    ChainId,
    Epoch,
    Hash,
    chain_id,
)
from ledger.jwk import Jwk, Use
from ledger.parameters import Parameters
from ledger.signed_text import possession_text
from ledger.validators import Member, ValidatorSet

GENESIS_TYPE: Final = "muniment-genesis-v1"
GENESIS_BYTES_MAX: Final = 4 * 1024 * 1024
CERTIFICATE_BYTES_MAX: Final = 4096
"""An Ed25519 certificate has about 350 bytes."""
_ADDRESS: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9a-fA-F:.]{2,45}\]):([0-9]{1,5})",
    re.ASCII,
)


class GenesisAgency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An agency of the first hour; it is its own party."""

    id: str
    title_code: str
    keys: tuple[dict[str, str], ...]
    """JWKs as written."""
    recovery_key: dict[str, str]
    """Signing JWK of a key kept cold."""

    def jwks(self) -> tuple[Jwk, ...]:
        """The party's keys. Raises ValueError on a JWK of another shape."""
        return tuple(Jwk.from_json(key) for key in self.keys)


class GenesisMember(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A validator of epoch 0, with the proof that its vote key is held."""

    agency: str
    name: str
    vote_key: str
    transport_certificate: str
    address: str
    vote_key_proof: str

    def member(self) -> Member:
        """The member as the validator set holds it."""
        return Member(
            self.agency, self.name, self.vote_key, self.transport_certificate, self.address
        )


class Genesis(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A genesis document. `decode` and `from_json` return only documents that pass `check`."""

    name: str
    time_ms: int
    """Milliseconds since 1970-01-01T00:00:00Z; the time of block 0."""
    parameters: Parameters
    agencies: tuple[GenesisAgency, ...]
    members: tuple[GenesisMember, ...]
    type: str = GENESIS_TYPE

    @classmethod
    def decode(cls, data: bytes) -> Genesis:
        """Parse canonical JSON. Raises ValueError unless `encode` gives the same bytes back."""
        if len(data) > GENESIS_BYTES_MAX:
            raise ValueError(f"genesis: want at most {GENESIS_BYTES_MAX} bytes, got {len(data)}")
        try:
            genesis = _decoder.decode(data)
        except msgspec.DecodeError as error:
            raise ValueError(f"genesis: {error}") from None
        if genesis.encode() != data:
            raise ValueError("genesis: not canonical JSON, or a member is missing")
        genesis.check()
        return genesis

    @classmethod
    def from_json(cls, value: Any) -> Genesis:
        """From a parsed JSON object. Raises ValueError on any other shape."""
        try:
            genesis = msgspec.convert(value, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"genesis: {error}") from None
        if genesis.to_json() != value:
            raise ValueError("genesis: a member is missing")
        genesis.check()
        return genesis

    def to_json(self) -> dict[str, Any]:
        """The document as a JSON object."""
        document: dict[str, Any] = canonical.decode(self.encode())
        return document

    def encode(self) -> bytes:
        """Canonical JSON (RFC 8785)."""
        return canonical.encode(self)

    @cached_property
    def hash(self) -> Hash:
        """The genesis hash: SHA-256 of the canonical JSON."""
        return sha256(self.encode())

    @cached_property
    def chain(self) -> ChainId:
        """The chain id that follows from name and hash."""
        return chain_id(self.name, self.hash)

    def validators(self) -> ValidatorSet:
        """The validator set of epoch 0."""
        return ValidatorSet(Epoch(0), tuple(member.member() for member in self.members))

    def check(self, verifier: Verifier | None = None) -> None:
        """Raises ValueError when a rule of the specification is broken, and names the rule.

        `verifier` checks possession of the vote keys; the ledger's own when not given.
        """
        if self.type != GENESIS_TYPE:
            raise ValueError(f"genesis: unknown type {self.type!r}")
        if CHAIN_NAME.fullmatch(self.name) is None:
            raise ValueError(f"genesis: {self.name!r} is not a chain name")
        if not 0 <= self.time_ms <= INTEGER_MAX:
            raise ValueError("genesis: time_ms is out of range")
        self.parameters.check()
        if not self.agencies or not self.members:
            raise ValueError("genesis: want at least one agency and one member")
        kids = _Distinct("key")
        self._check_agencies(kids)
        self._check_members(kids, verifier or Ed25519Verifier())

    def _check_agencies(self, kids: _Distinct) -> None:
        ids = _Distinct("agency id")
        for agency in self.agencies:
            if PARTY_ID.fullmatch(agency.id) is None:
                raise ValueError(f"genesis: {agency.id!r} is not a party id")
            ids.add(agency.id)
            if CODE.fullmatch(agency.title_code) is None:
                raise ValueError(f"genesis: agency {agency.id}: title_code is not a code")
            jwks = agency.jwks()
            if len(jwks) > self.parameters.keys_per_party_max:
                raise ValueError(f"genesis: agency {agency.id} has too many keys")
            if not any(jwk.use is Use.SIGNING for jwk in jwks):
                raise ValueError(f"genesis: agency {agency.id} has no signing key")
            recovery = Jwk.from_json(agency.recovery_key)
            if recovery.use is not Use.SIGNING:
                raise ValueError(f"genesis: agency {agency.id}: recovery_key cannot sign")
            for jwk in (*jwks, recovery):
                if not jwk.is_valid:
                    raise ValueError(f"genesis: agency {agency.id}: {jwk.kid} is not a valid point")
                kids.add(jwk.kid)

    def _check_members(self, kids: _Distinct, verifier: Verifier) -> None:
        names = _Distinct("member name")
        certificates = _Distinct("transport certificate")
        agencies = {agency.id for agency in self.agencies}
        for member in self.members:
            if CODE.fullmatch(member.name) is None:
                raise ValueError(f"genesis: {member.name!r} is not a code")
            names.add(member.name)
            if member.agency not in agencies:
                raise ValueError(f"genesis: member {member.name}: agency is not listed")
            _check_address(member)
            certificate = base64url.decode(member.transport_certificate)
            if not 0 < len(certificate) <= CERTIFICATE_BYTES_MAX:
                raise ValueError(f"genesis: member {member.name}: no transport certificate")
            certificates.add(member.transport_certificate)
            key = base64url.decode(member.vote_key)
            if len(key) != PUBLIC_KEY_BYTES or not is_valid_public_key(key):
                raise ValueError(f"genesis: member {member.name}: vote_key is not a valid point")
            kid = ed25519_thumbprint(key)
            kids.add(kid)
            text = possession_text(self.name, member.name, kid)
            if not verifier.verify(key, text, base64url.decode(member.vote_key_proof)):
                raise ValueError(f"genesis: member {member.name}: vote_key_proof is not valid")


class _Distinct:
    """Raises ValueError when something is added twice."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._seen: set[str] = set()

    def add(self, item: str) -> None:
        if item in self._seen:
            raise ValueError(f"genesis: {self._what} {item[:64]} stands twice")
        self._seen.add(item)


def _check_address(member: GenesisMember) -> None:
    match = _ADDRESS.fullmatch(member.address)
    if match is None or not 0 < int(match[1]) < 65536:
        raise ValueError(f"genesis: member {member.name}: address: want host:port")


_decoder = msgspec.json.Decoder(Genesis)

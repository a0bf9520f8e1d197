"""Small chains made from seeds: the same keys, certificates and hashes on every run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ledger import base64url, transaction
from ledger.certificate import Certificate, Phase, vote_text
from ledger.crypto import Ed25519Signer, ed25519_thumbprint, sha256
from ledger.genesis import Genesis, GenesisAgency, GenesisMember
from ledger.ids import BlockHash, ChainId, Epoch, Height, Kid, View
from ledger.jwk import Jwk
from ledger.parameters import Parameters
from ledger.signed_text import possession_text
from ledger.validators import ValidatorSet

GENESIS_TIME_MS = 1_750_000_000_000
EXP = GENESIS_TIME_MS // 1000 + 3600
"""Seconds; an hour after genesis."""


def seed(label: str) -> bytes:
    """A 32-byte seed that depends on `label` alone."""
    return sha256(f"muniment test seed\n{label}\n".encode())


def signer(label: str) -> Ed25519Signer:
    """The signer whose seed comes from `label`."""
    return Ed25519Signer(seed(label))


def kid_of(key: Ed25519Signer) -> Kid:
    """The kid under which `key` is registered."""
    return ed25519_thumbprint(key.public_key)


@cache
def transport_certificate(label: str) -> bytes:
    """A real self-signed Ed25519 X.509 certificate, DER; deterministic as Ed25519 is."""
    key = Ed25519PrivateKey.from_private_bytes(seed(f"transport {label}"))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2025, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, None)
    )
    return certificate.public_bytes(Encoding.DER)


@dataclass(frozen=True)
class GenesisKit:
    """A genesis document with everybody's private keys."""

    genesis: Genesis
    vote_signers: tuple[Ed25519Signer, ...]
    """By member index."""
    agency_signers: dict[str, Ed25519Signer]
    """By party id."""
    recovery_signers: dict[str, Ed25519Signer]
    """By party id."""

    @property
    def chain(self) -> ChainId:
        return self.genesis.chain

    @property
    def validators(self) -> ValidatorSet:
        """The validator set of epoch 0."""
        return self.genesis.validators()

    def sign(
        self,
        party: str,
        jti: str,
        ops: list[dict[str, Any]],
        exp: int = EXP,
        *,
        key: Ed25519Signer | None = None,
    ) -> bytes:
        """A compact transaction of `party`, signed by its genesis key unless `key` is given."""
        claims = {"iss": party, "aud": self.chain, "jti": jti, "exp": exp, "ops": ops}
        return transaction.sign(claims, key or self.agency_signers[party])

    def certify(
        self,
        height: int,
        block_hash: bytes,
        *,
        epoch: int = 0,
        view: int = 0,
        phase: Phase = Phase.COMMIT,
        signers: dict[int, Ed25519Signer] | None = None,
    ) -> Certificate:
        """A certificate by `signers` (member index -> key); by default the first q members."""
        if signers is None:
            signers = dict(enumerate(self.vote_signers[: self.validators.quorum]))
        text = vote_text(
            self.chain, Epoch(epoch), phase, View(view), Height(height), BlockHash(block_hash)
        )
        votes = tuple((index, signers[index].sign(text)) for index in sorted(signers))
        return Certificate(epoch, phase, view, height, block_hash, votes)


def agency_id(index: int) -> str:
    """Party id of the test agency that runs member `index`."""
    return f"agency-{index}"


def make_genesis(
    n: int = 4,
    *,
    name: str = "test",
    time_ms: int = GENESIS_TIME_MS,
    parameters: Parameters | None = None,
) -> GenesisKit:
    """A chain of `n` agencies; number i is `agency-<i>` and runs `member-<i>`."""
    vote_signers = tuple(signer(f"{name} vote {i}") for i in range(n))
    agency_signers = {agency_id(i): signer(f"{name} agency {i}") for i in range(n)}
    recovery_signers = {agency_id(i): signer(f"{name} recovery {i}") for i in range(n)}
    agencies = tuple(
        GenesisAgency(
            id=party,
            title_code=f"title-{party}",
            keys=(Jwk.signing(key.public_key).to_json(),),
            recovery_key=Jwk.signing(recovery_signers[party].public_key).to_json(),
        )
        for party, key in agency_signers.items()
    )
    members = tuple(
        GenesisMember(
            agency=agency_id(i),
            name=f"member-{i}",
            vote_key=base64url.encode(key.public_key),
            transport_certificate=base64url.encode(transport_certificate(f"{name}-member-{i}")),
            address=f"127.0.0.1:{27000 + i}",
            vote_key_proof=base64url.encode(
                key.sign(possession_text(name, f"member-{i}", kid_of(key)))
            ),
        )
        for i, key in enumerate(vote_signers)
    )
    genesis = Genesis(
        name=name,
        time_ms=time_ms,
        parameters=parameters or Parameters(),
        agencies=agencies,
        members=members,
    )
    genesis.check()
    return GenesisKit(genesis, vote_signers, agency_signers, recovery_signers)

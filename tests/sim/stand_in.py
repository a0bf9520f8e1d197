"""Keys of a simulated network: real ones, or stand-ins that cost a hash instead of a curve.

A stand-in signature is a function of the public key alone, so anybody could forge it; that is no
loss here, because simulated adversaries sign with their own keys only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha512

from ledger.crypto import Ed25519Verifier, Signer, Verifier
from ledger.genesis import Genesis
from ledger.parameters import Parameters
from ledger.store import MemoryStore
from node.chain import Chain
from tests.builders import make_genesis, signer, transport_certificate

CHAIN_NAME = "sim"


def _stand_in(public_key: bytes, message: bytes) -> bytes:
    return sha512(b"muniment stand-in\n" + public_key + message).digest()


class StandInSigner:
    """Signs with 64 bytes of SHA-512 over public key and message."""

    def __init__(self, public_key: bytes) -> None:
        self._public = public_key

    @property
    def public_key(self) -> bytes:
        return self._public

    def sign(self, message: bytes) -> bytes:
        return _stand_in(self._public, message)


class StandInVerifier:
    """Accepts what StandInSigner makes."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        return _stand_in(public_key, message) == signature


class SharedVerifier:
    """Real verdicts, computed once for the whole simulated network."""

    def __init__(self) -> None:
        self._inner = Ed25519Verifier()
        self._verdicts: dict[tuple[bytes, bytes, bytes], bool] = {}

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        key = (public_key, message, signature)
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = self._verdicts[key] = self._inner.verify(*key)
        return verdict


@dataclass(frozen=True)
class Kit:
    """A genesis, everybody's keys, and the store of a node that has just opened it."""

    genesis: Genesis
    votes: tuple[Signer, ...]
    """By number of the node; the last one is the spare's, no member of epoch 0."""
    agencies: dict[str, Signer]
    verifier: Verifier
    disk: tuple[tuple[bytes, bytes], ...]


@cache
def kit(
    n: int, turn_length: int, checkpoint_interval: int, block_interval_ms: int, *, real: bool
) -> Kit:
    """The kit of these parameters; made once in a process."""
    made = make_genesis(
        n,
        name=CHAIN_NAME,
        parameters=Parameters(
            turn_length=turn_length,
            checkpoint_interval=checkpoint_interval,
            block_interval_max_ms=block_interval_ms,
            block_transactions_max=8,
        ),
    )
    keys = (*made.vote_signers, signer(f"{CHAIN_NAME} vote {n}"))
    votes: tuple[Signer, ...] = keys
    agencies: dict[str, Signer] = dict(made.agency_signers)
    verifier: Verifier = SharedVerifier() if real else StandInVerifier()
    if not real:
        votes = tuple(StandInSigner(key.public_key) for key in keys)
        agencies = {name: StandInSigner(key.public_key) for name, key in agencies.items()}
    store = MemoryStore()
    Chain(store, made.genesis, verifier)
    store.flush()
    return Kit(made.genesis, votes, agencies, verifier, tuple(store.durable().items()))


def spare_certificate(n: int) -> bytes:
    """Transport certificate of the spare node."""
    return transport_certificate(f"{CHAIN_NAME}-member-{n}")

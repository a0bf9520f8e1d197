"""Chains of one node that grow without consensus: build a block, certify it, commit it."""

from __future__ import annotations

from typing import Any

from ledger.admission import parse
from ledger.crypto import Ed25519Verifier
from ledger.store import MemoryStore, Store
from node.chain import Candidate, Chain
from node.intake import Intake
from node.mempool import Limits, Mempool
from tests.builders import GENESIS_TIME_MS, GenesisKit, make_genesis

PARTY = "agency-0"
WALL_MS = GENESIS_TIME_MS
"""The clock of tests that do not care."""


class Grown:
    """A chain and the intake in front of it."""

    def __init__(
        self,
        kit: GenesisKit | None = None,
        store: Store | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.kit = kit or make_genesis(4)
        self.store = store or MemoryStore()
        verifier = Ed25519Verifier()
        self.chain = Chain(self.store, self.kit.genesis, verifier)
        self.intake = Intake(self.chain, Mempool(limits or Limits()), verifier)
        self._number = 0

    def tx(self, *ops: dict[str, Any], party: str = PARTY, **sign: Any) -> bytes:
        """A transaction with a fresh jti; one document when no operation is given."""
        self._number += 1
        jti = sign.pop("jti", f"n{self._number}")
        return self.kit.sign(party, jti, list(ops) or [document(self._number)], **sign)

    def build(self, *raws: bytes, time_ms: int | None = None) -> Candidate:
        """The next block, not committed."""
        admitted = [parse(raw, self.chain.parameters, self.chain.id) for raw in raws]
        when = self.chain.header.time_ms + 1_000 if time_ms is None else time_ms
        return self.chain.build(0, when, admitted, (), frozenset())

    def block(self, *raws: bytes, time_ms: int | None = None, certify: bool = True) -> Candidate:
        """The next block, committed and durable."""
        candidate = self.build(*raws, time_ms=time_ms)
        certificate = self.kit.certify(candidate.header.height, candidate.block_hash)
        self.chain.commit(candidate, certificate)
        self.store.flush()
        return candidate


def document(number: int = 0) -> dict[str, Any]:
    """document.register"""
    return {
        "op": "document.register",
        "type": "deed",
        "title_code": "title",
        "commitment": f"{number:064x}",
    }

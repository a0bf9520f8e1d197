"""A chain of blocks without consensus: execute, stage, flush, detach."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from typing import Any

from ledger import admission, base64url
from ledger.admission import Admitted
from ledger.crypto import Ed25519Signer, Ed25519Verifier
from ledger.executor import Execution, Executor
from ledger.ids import Height, TxId
from ledger.jwk import Jwk
from ledger.parameters import Parameters
from ledger.signed_text import approval_text, possession_text
from ledger.store import MemoryStore, Store
from ledger.system_state import genesis_state
from ledger.transaction import Inadmissible
from tests.builders import GENESIS_TIME_MS, GenesisKit, kid_of, make_genesis


class Chain:
    """Genesis and what follows, one call a block."""

    def __init__(self, kit: GenesisKit | None = None, store: Store | None = None) -> None:
        self.kit = kit or make_genesis(4)
        self.store = MemoryStore() if store is None else store
        self.parameters: Parameters = self.kit.genesis.parameters
        self.verifier = Ed25519Verifier()
        self.executor = Executor(self.kit.chain, self.parameters, self.verifier)
        self.validators = self.kit.validators
        self.state = genesis_state(self.store, self.kit.genesis)
        self.height = 0
        self.time_ms = GENESIS_TIME_MS
        self._jti = 0
        self._commit()

    def _commit(self) -> None:
        self.store.stage(self.state.writes)
        self.store.flush()
        self.state.detach()

    def parse(self, raw: bytes) -> Admitted:
        return admission.parse(raw, self.parameters, self.kit.chain)

    def execute(
        self,
        raws: Sequence[bytes],
        *,
        evidence: Sequence[bytes] = (),
        select: bool = False,
        known_valid: Container[TxId] = frozenset(),
        time_ms: int | None = None,
    ) -> Execution:
        """The next block, not committed."""
        return self.executor.execute(
            self.state,
            epoch=self.validators.epoch,
            validators=self.validators,
            height=Height(self.height + 1),
            time_ms=self.time_ms + 1000 if time_ms is None else time_ms,
            transactions=[self.parse(raw) for raw in raws],
            evidence=evidence,
            known_valid=known_valid,
            select=select,
        )

    def block(self, *raws: bytes, time_ms: int | None = None) -> list[dict[str, Any]]:
        """Execute and commit the next block; its entries."""
        execution = self.execute(raws, time_ms=time_ms)
        self.state = execution.state
        self.height += 1
        self.time_ms = self.time_ms + 1000 if time_ms is None else time_ms
        self._commit()
        if execution.next_validators is not None:
            self.validators = execution.next_validators
        return [json.loads(entry) for entry in execution.entries]

    def refusal(
        self, raw: bytes, *, time_ms: int | None = None, known_valid: bool = False
    ) -> Inadmissible | None:
        """Why a block after the head, of the head's time unless given, cannot hold a transaction;
        None: it can. With `known_valid` its signature was verified before."""
        try:
            admitted = self.parse(raw)
        except Inadmissible as why:
            return why
        execution = self.execute(
            [raw],
            select=True,
            known_valid={admitted.transaction.id} if known_valid else frozenset(),
            time_ms=self.time_ms if time_ms is None else time_ms,
        )
        assert len(execution.included) + len(execution.dropped) == 1
        return execution.dropped[0].why if execution.dropped else None

    def jti(self) -> str:
        """A fresh jti."""
        self._jti += 1
        return f"jti-{self._jti}"

    def run(
        self, party: str, *ops: dict[str, Any], key: Ed25519Signer | None = None, jti: str = ""
    ) -> dict[str, Any]:
        """One block with one transaction; its entry."""
        return self.block(self.kit.sign(party, jti or self.jti(), list(ops), key=key))[0]

    def value(self, key: str) -> Any:
        """Parsed value of a state key, or None."""
        found = self.state.get(key.encode())
        return None if found is None else json.loads(found)

    def proof(self, party: str, key: Ed25519Signer) -> str:
        """Possession of a party's key."""
        return base64url.encode(key.sign(possession_text(self.kit.chain, party, kid_of(key))))

    def client(self, party: str, *keys: Ed25519Signer) -> dict[str, Any]:
        """party.register of a client."""
        return {
            "op": "party.register",
            "kind": "client",
            "party": party,
            "keys": [Jwk.signing(key.public_key).to_json() for key in keys],
            "proofs": [self.proof(party, key) for key in keys],
        }

    def approve(
        self, op: dict[str, Any], agencies: Sequence[str], *, iss: str, jti: str, index: int = 0
    ) -> list[dict[str, str]]:
        """Approvals of `op` by the genesis keys of `agencies`."""
        text = approval_text(self.kit.chain, iss, jti, index, op)  # type: ignore[arg-type]  # a test names parties freely
        return [
            {
                "agency": agency,
                "kid": kid_of(self.kit.agency_signers[agency]),
                "signature": base64url.encode(self.kit.agency_signers[agency].sign(text)),
            }
            for agency in agencies
        ]

    def run_approved(
        self, iss: str, op: dict[str, Any], agencies: Sequence[str], **sign: Any
    ) -> dict[str, Any]:
        """One block with `op` approved by `agencies`; its entry."""
        jti = self.jti()
        approvals = self.approve(op, agencies, iss=iss, jti=jti)
        return self.run(iss, {**op, "approvals": approvals}, jti=jti, **sign)


def document(commitment: str = "ab" * 32, type_code: str = "deed") -> dict[str, Any]:
    """document.register"""
    return {
        "op": "document.register",
        "type": type_code,
        "title_code": "title",
        "commitment": commitment,
    }

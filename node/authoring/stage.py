"""A chain in memory on which a service is tried: the validators' own executor, without signatures.

One founder agency runs the only member, so that a proposal of its own is accepted at once.
"""

from __future__ import annotations

from typing import Any

from ledger import canonical, records
from ledger.admission import Admitted
from ledger.crypto import Ed25519Signer, Ed25519Verifier, ed25519_thumbprint, sha256
from ledger.executor import Executor
from ledger.ids import ChainId, Epoch, Height, Kid, PartyId, TxId
from ledger.jwk import Jwk
from ledger.modules import parse_operations
from ledger.parameters import Parameters
from ledger.parties import (
    KeyOwner,
    KeyStatus,
    PartyStatus,
    new_keys,
    owner_key,
    party_fields,
    party_key,
)
from ledger.registry.definition import Definition
from ledger.state import Draft, State
from ledger.store import MemoryStore
from ledger.transaction import Inadmissible, Transaction
from ledger.tree import Tree
from ledger.validators import Member, ValidatorSet

FOUNDER = "founder"
START_MS = 1_750_000_000_000
CHAIN = ChainId("stage:" + "0" * 32)


class Stage:
    """Blocks of one transaction each, on a clock that the scenario moves."""

    def __init__(self) -> None:
        self.state: State
        self.time_ms = START_MS
        self.height = 0
        self.entries: list[dict[str, Any]] = []
        """Entries of the last block."""
        self._sequence = 0
        self._executor = Executor(CHAIN, Parameters(), Ed25519Verifier())
        self._validators = ValidatorSet(Epoch(0), (Member(FOUNDER, "m", "A" * 43, "", "h:1"),))
        draft = State(MemoryStore(), Tree.empty()).draft()
        _add_party(draft, FOUNDER, FOUNDER)
        self._seal(draft)

    def add_party(self, party: str, agency: str) -> None:
        """A party of an agency; its agency is made with it."""
        draft = self.state.draft()
        for name in (agency, party):
            if draft.get(party_key(name)) is None:
                _add_party(draft, name, agency)
        self._seal(draft)

    def _seal(self, draft: Draft) -> None:
        """Take a draft as the state, with nothing layered below it."""
        self._take(draft.seal())

    def _take(self, state: State) -> None:
        state.store.stage(state.writes)
        state.store.flush()
        state.detach()
        self.state = state

    def run(self, party: str, operations: list[dict[str, Any]]) -> dict[str, Any]:
        """One transaction in a block of its own; its entry."""
        self._sequence += 1
        self.time_ms += 1
        raw = f"{party}.{self._sequence}.x".encode("ascii")
        txid = TxId(sha256(raw))
        transaction = Transaction(
            raw=raw,
            id=txid,
            kid=Kid(ed25519_thumbprint(_signer(party).public_key)),
            iss=PartyId(party),
            aud=CHAIN,
            jti=f"step-{self._sequence}",
            exp=self.time_ms // 1000 + 3_600,
            ops=tuple(operations),
            signature=b"",
        )
        admitted = Admitted(transaction, parse_operations(transaction))
        self._block((admitted,), {txid})
        return self.entries[0]

    def record_id(self, record_type: str, party: str) -> str:
        """Id of a record that the next transaction of `party` would create first."""
        jti = f"step-{self._sequence + 1}"
        return records.record_id(record_type, CHAIN, PartyId(party), jti, 0)

    def advance(self, seconds: int) -> list[dict[str, Any]]:
        """Move the clock and make a block: timers fire. Its entries."""
        self.time_ms += seconds * 1000
        self._block((), set())
        return self.entries

    def _block(self, transactions: tuple[Admitted, ...], known: set[TxId]) -> None:
        self.height += 1
        execution = self._executor.execute(
            self.state,
            epoch=Epoch(0),
            validators=self._validators,
            height=Height(self.height),
            time_ms=self.time_ms,
            transactions=transactions,
            known_valid=known,
        )
        self._take(execution.state)
        self.entries = [canonical.decode(item) for item in execution.entries]

    def govern(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """A proposal of the founder, accepted at once, in effect in the block after it."""
        entry = self.run(
            FOUNDER,
            [
                {
                    "op": "gov.propose",
                    "proposal": f"proposal-{self._sequence}",
                    "kind": kind,
                    "body": body,
                    "rationale": "0" * 64,
                    "effective_height": 0,
                    "until": self.time_ms // 1000 + 3_600,
                }
            ],
        )
        self.advance(1)
        return entry

    def activate(self, definition: Definition) -> dict[str, Any]:
        """Vote a definition in."""
        return self.govern("activate", {"definition": canonical.decode(definition.encode())})

    def grant(self, role: str, party: str, agency: str | None = None, days: int = 3_650) -> None:
        """Give a role, by a root that governance names: the founder. Raises ValueError."""
        self.govern("role-root", {"role": role, "party": FOUNDER})
        until = self.time_ms // 1000 + days * 86_400
        operation = {"op": "role.grant", "role": role, "party": party, "until": until}
        entry = self.run(FOUNDER, [{**operation, "agency": agency}])
        if entry["status"] != "committed":
            who = party if agency is None else f"{party} in {agency}"
            raise ValueError(f"{role} cannot be given to {who}: {entry['reason']}")

    def value(self, key: str) -> Any:
        """A state value, parsed, or None."""
        data = self.state.get(key.encode("ascii"))
        return None if data is None else canonical.decode(data)


def _signer(party: str) -> Ed25519Signer:
    return Ed25519Signer(sha256(b"stage " + party.encode("ascii")))


def _add_party(draft: Draft, party: str, agency: str) -> None:
    jwk = Jwk.signing(_signer(party).public_key)
    fields = party_fields(party, agency, PartyStatus.ACTIVE, new_keys((jwk,)))
    records.create(draft, party_key(party), fields)
    owner = KeyOwner(party, KeyStatus.ACTIVE, 0)
    draft.put(owner_key(jwk.kid), canonical.encode(owner))


class StageGround:
    """A stage as scenarios see it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def add_party(self, party: str, agency: str) -> None:
        """A party of an agency. Raises ValueError."""
        if FOUNDER in (party, agency):
            raise ValueError(f"{FOUNDER} is the name of who votes the service in: choose another")
        self._stage.add_party(party, agency)

    def grant(self, role: str, party: str, agency: str | None) -> None:
        """Give a role."""
        self._stage.grant(role, party, agency)

    def run(self, party: str, operation: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """One operation in a block of its own."""
        try:
            entry = self._stage.run(party, [operation])
        except Inadmissible as error:
            return error.reason, {}
        results = entry["results"]
        return entry["reason"], results[0] if results else {}

    def advance(self, seconds: int) -> list[dict[str, Any]]:
        """A block that much later."""
        return self._stage.advance(seconds)

    def now(self) -> int:
        """Block time, seconds."""
        return self._stage.time_ms // 1000

    def value(self, key: str) -> Any:
        """A state value."""
        return self._stage.value(key)
